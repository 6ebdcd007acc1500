/* SPDX-License-Identifier: MIT */
#include "experiments/report/report.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/report/html.h"
#include "experiments/report/svg.h"
#include "nn/layers/ffw.h"
#include "tests/support/failing.h"
#include "tests/support/markup.h"
#include "tests/support/synthetic.h"
#include "tests/support/tempdir.h"

static const struct lab_report_tools without_gnuplot = {.gnuplot = "/nonexistent/gnuplot"};

struct report {
    struct tempdir dir;
    struct peer_ctx *ctx;
    struct synthetic sweep;
};

static struct report set_up(int variants, int budgets, int sizes, int seeds)
{
    struct report report = {.dir = tempdir_create()};
    cr_assert_eq(peer_ctx_create(&report.ctx, NULL), PEER_OK);
    report.sweep = synthetic_sweep(
        &(struct synthetic_config){variants, budgets, sizes, seeds, 0.004, report.dir.path});
    return report;
}

static void tear_down(struct report *report)
{
    cr_expect_eq(peer_ctx_bytes(report->ctx), 0);
    tempdir_remove(&report->dir);
    peer_ctx_destroy(&report->ctx);
    synthetic_free(&report->sweep);
}

static enum peer_status write_report(const struct report *report,
                                     const struct lab_report_tools *tools)
{
    return lab_report_write_with(report->ctx, report->dir.path, &report->sweep.info,
                                 report->sweep.results, report->sweep.count, tools);
}

static char *read_file(const struct report *report, const char *name)
{
    struct tempfile file = tempdir_file(&report->dir, name);
    size_t size;
    char *bytes = tempfile_read(&file, &size), *text = strndup(bytes, size);
    cr_assert_eq(strlen(text), size, "%s holds a NUL", name);
    free(bytes);
    return text;
}

static bool there(const struct report *report, const char *name)
{
    struct tempfile file = tempdir_file(&report->dir, name);
    return !access(file.path, F_OK);
}

static void expect_text(const char *page, const char *text)
{
    cr_expect(strstr(page, text), "the page lacks \"%s\"", text);
}

/* One script, in the page itself. */
static void expect_own_script(const char *page)
{
    const char *script = strstr(page, "<script>");
    cr_assert(script);
    cr_expect_eq(strstr(page, "<script"), script);
    cr_expect_not(strstr(script + 1, "<script"));
}

static bool have_gnuplot(void)
{
    return !system("gnuplot --version >/dev/null 2>&1");
}

Test(report, has_figures_and_tables)
{
    if (!have_gnuplot())
        cr_skip_test("gnuplot is not installed");
    struct report report = set_up(3, 2, 5, 1);
    cr_assert_eq(write_report(&report, NULL), PEER_OK, "%s", peer_ctx_error(report.ctx));
    char *page = read_file(&report, "report.html");
    markup_check(page);
    cr_expect_not(strstr(page, "Figures are missing"));
    expect_own_script(page);
    cr_expect_not(strstr(page, "gnuplot_canvas\"id"));
    cr_expect_not(strstr(page, "<title>gnuplot"));
    cr_expect_not(strstr(page, "onmouse"));
    expect_text(page, "<g class=\"tip\"><title>dense, ");
    expect_text(page, "<li><a href=\"#minima\">Minima</a></li>");
    expect_text(page, "<a href=\"tables/minima.csv\">minima.csv</a>");
    static const char *const figures[] = {"isoflop-active", "isoflop-total", "utilization",
                                          "usage-maps", "training"};
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof name, "figures/%s.svg", figures[i]);
        char *svg = read_file(&report, name);
        markup_check(svg);
        expect_text(svg, "prefers-color-scheme: dark");
        free(svg);
        snprintf(name, sizeof name, "figures/%s.pdf", figures[i]);
        cr_expect(there(&report, name), "%s", name);
    }
    cr_expect_not(there(&report, "drawn"));
    expect_text(page, "id=\"w0-gnuplot_canvas\"");
    expect_text(page, "id=\"n0-gnuplot_canvas\"");
    free(page);
    tear_down(&report);
}

Test(report, says_what_was_compared_and_what_is_missing)
{
    struct report report = set_up(3, 2, 5, 1);
    struct lab_result *r = report.sweep.results;
    r[1].state = LAB_DIVERGED;
    r[1].nats = NAN;
    r[4].state = LAB_FAILED;
    snprintf(r[4].message, sizeof r[4].message, "no room for 3 GiB");
    r[7].state = LAB_PENDING;
    for (int64_t i = 20; i < 30; i++)
        r[i].traits = PEER_FFW_MIXES_TOKENS_IN_TRAINING;
    cr_assert_eq(write_report(&report, &without_gnuplot), PEER_OK);
    char *page = read_file(&report, "report.html");
    markup_check(page);
    static const char *const texts[] = {
        "At each of 2 budgets of training compute",
        "3 kinds of feed-forward layer (dense, peer-4k and pkm-4k)",
        "30 runs, of which 27 finished, 1 diverged, 1 failed and 1 not started",
        "the lowest minimum is that of <strong>peer-4k</strong>",
        "<summary>1 run is diverged, not in the fits</summary>",
        "run 2 (dense, width 96, 3 blocks, seed 1)",
        "<td class=\"state\">failed</td>",
        "no room for 3 GiB",
        "Every size has one finished seed",
        "With 2 budgets no exponent",
        "peer-4k normalises by statistics of the whole batch",
        "no interval: 3 sizes with 1 seed each leave no degrees of freedom",
        "peerlab sweep run synthetic.yaml",
        "budgets: [1e13, 4e13]",
        "0123abc",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_text(page, texts[i]);
    free(page);
    tear_down(&report);
}

/* From three budgets on; before, the caveats say why not. */
Test(report, has_laws_where_there_are_budgets_enough)
{
    for (int budgets = 2; budgets <= 3; budgets++) {
        struct report report = set_up(2, budgets, 5, 1);
        cr_assert_eq(write_report(&report, &without_gnuplot), PEER_OK);
        char *page = read_file(&report, "report.html");
        markup_check(page);
        const char *laws = strstr(page, "<h2 id=\"laws\">Joint laws</h2>");
        cr_expect_eq(laws != NULL, budgets == 3);
        cr_expect_eq(strstr(page, "no exponent of a scaling law") != NULL, budgets == 2);
        if (laws) {
            laws = strstr(laws, "<td>dense</td>");
            cr_expect(laws && strstr(laws, "<td>pkm-4k</td>") && strstr(laws, "15 settings"));
            expect_text(page, "from residuals only: 1 seed per setting");
        }
        cr_expect(there(&report, "tables/fits.csv"));
        free(page);
        tear_down(&report);
    }
}

/* Losses that fall to the largest size have no minimum: `lower` below all minima, or above them. */
static char *page_with_an_edge(struct report *report, double lower)
{
    *report = set_up(3, 1, 5, 1);
    for (int64_t i = 5; i < 10; i++)
        report->sweep.results[i].nats = report->sweep.results[2].nats - lower - 0.01 * (double)i;
    cr_assert_eq(write_report(report, &without_gnuplot), PEER_OK);
    return read_file(report, "report.html");
}

Test(report, a_variant_at_its_edge_is_named_with_its_lowest_run)
{
    struct report report;
    char *page = page_with_an_edge(&report, 0.5), run[256];
    snprintf(run, sizeof run, "<strong>%s</strong>&#39;s lowest run, %.4f nats",
             report.sweep.results[5].variant, report.sweep.results[9].nats);
    expect_text(page, "the lowest loss is that of ");
    expect_text(page, run);
    expect_text(page, "the largest of its sizes");
    expect_text(page, "The lowest minimum, above that run, is that of ");
    cr_expect_not(strstr(page, "the lowest minimum is that of"));
    expect_text(page, "<summary>no minimum: ");
    free(page);
    tear_down(&report);
    page = page_with_an_edge(&report, -0.5);
    snprintf(run, sizeof run, "Without a minimum inside its sizes: %s (lowest run %.4f nats",
             report.sweep.results[5].variant, report.sweep.results[9].nats);
    expect_text(page, "the lowest minimum is that of <strong>");
    expect_text(page, run);
    free(page);
    tear_down(&report);
}

/* The law's differences are far above the noise: the sentence must give them, with their sign. */
Test(report, gives_differences_with_their_intervals)
{
    struct report report = set_up(3, 1, 7, 2);
    cr_assert_eq(write_report(&report, &without_gnuplot), PEER_OK);
    char *page = read_file(&report, "report.html");
    const char *found = strstr(page, " from dense (90\xC2\xA0% interval ");
    cr_assert(found);
    found = strstr(found, "interval ") + strlen("interval ");
    double low = strtod(found, NULL), high = strtod(strstr(found, "to ") + 3, NULL);
    cr_expect(low < -0.05 && -0.05 < high && high < 0, "%g %g", low, high);
    cr_expect_not(strstr(page, "Every size has one finished seed"));
    free(page);
    tear_down(&report);
}

/* Rows of result files with loads, of expert choice, and of before loads were written. */
Test(report, shows_loads_or_dashes)
{
    struct report report = set_up(4, 1, 3, 1);
    struct lab_result *r = report.sweep.results;
    const struct lm_usage_load loads[] = {{1.25, 0.625, 0.3125, 3.5, 0.125, 0.0625},
                                          {1.5, 0.75, 0.5, 2.5, NAN, 0.375},
                                          {NAN, NAN, NAN, NAN, NAN, NAN}};
    for (int i = 0; i < 3; i++)
        r[6 + i].usage[0].report.load = loads[i];
    cr_assert_eq(write_report(&report, &without_gnuplot), PEER_OK);
    char *page = read_file(&report, "report.html"),
         *table = read_file(&report, "tables/utilization.csv");
    markup_check(page);
    expect_text(page, "choices<br/>dropped</th><th class=\"n\">tokens<br/>unserved</th>");
    expect_text(page, "1.25</td><td class=\"n\">62.5\xC2\xA0%</td><td class=\"n\">0.31</td>"
                      "<td class=\"n\">3.50</td><td class=\"n\">12.5\xC2\xA0%</td>"
                      "<td class=\"n\">6.2\xC2\xA0%</td>");
    expect_text(page,
                "2.50</td><td class=\"n\">\xE2\x80\x93</td><td class=\"n\">37.5\xC2\xA0%</td>");
    expect_text(page,
                "0.48</td><td class=\"n\">\xE2\x80\x93</td><td class=\"n\">\xE2\x80\x93</td>");
    expect_text(table, ",expected_used,load_entropy_nats,load_entropy_share,load_cv,load_peak,"
                       "dropped,unserved,head_overlap,map\n");
    expect_text(table, ",0.998,1.25,0.625,0.3125,3.5,0.125,0.0625,");
    expect_text(table, ",0.998,1.5,0.75,0.5,2.5,,0.375,");
    expect_text(table, ",0.998,,,,,,,");
    free(table);
    free(page);
    tear_down(&report);
}

/* Mixtures of few experts have bars in place of a map; 257 have neither. */
Test(report, draws_bars_of_few_experts)
{
    static const int experts[] = {1, 2, 7, 257};
    struct report report = set_up(4, 4, 3, 1);
    for (int64_t i = 0; i < report.sweep.count; i++) {
        struct lab_result *r = &report.sweep.results[i];
        if (!r->usages)
            continue;
        int budget = (int)(i / 3 % 4);
        r->usage[0].experts = experts[budget];
        r->usage[0].side = 0;
        char text[1024] = "", *end = text;
        for (int e = 0; e < experts[budget]; e++)
            end += sprintf(end, "%d ", e % 3 + 1);
        struct tempfile map = tempdir_file(&report.dir, r->usage[0].map);
        tempfile_write(&map, text, strlen(text));
    }
    cr_assert_eq(write_report(&report, NULL), PEER_OK);
    char *page = read_file(&report, "report.html"),
         *table = read_file(&report, "tables/usage_loads.csv"),
         *panels = read_file(&report, "tables/usage_panels.csv");
    int rows = 0;
    for (const char *c = table; *c; c++)
        rows += *c == '\n';
    cr_expect_eq(rows, 1 + 3 * (1 + 2 + 7), "%d", rows);
    expect_text(table, ",1,0,1\n");            /* alone: the mean */
    expect_text(table, ",1,0,0.6666666865\n"); /* 1 of 1, 2 */
    expect_text(table, ",1,6,0.538461566\n");
    cr_expect_str_eq(panels, "variant,budget_flops,run,block,side,cell\n");
    markup_check(page);
    if (have_gnuplot()) {
        cr_expect_not(strstr(page, "Figures are missing"));
        cr_expect(there(&report, "figures/usage-loads.svg"));
        cr_expect_not(there(&report, "figures/usage-maps.svg"));
    }
    free(panels);
    free(table);
    free(page);
    tear_down(&report);
}

Test(report, is_written_without_gnuplot)
{
    struct report report = set_up(2, 1, 5, 1);
    struct tempfile folder = tempdir_file(&report.dir, "figures");
    struct tempfile old = tempdir_file(&report.dir, "figures/training.pdf");
    struct tempfile own = tempdir_file(&report.dir, "figures/my own.pdf");
    cr_assert_eq(mkdir(folder.path, 0777), 0);
    tempfile_write(&old, "old", 3);
    tempfile_write(&own, "own", 3);
    cr_assert_eq(write_report(&report, &without_gnuplot), PEER_OK, "%s",
                 peer_ctx_error(report.ctx));
    char *page = read_file(&report, "report.html");
    expect_text(page, "Figures are missing. /nonexistent/gnuplot: No such file or directory");
    expect_text(page, "<h2 id=\"minima\">Minima</h2>");
    cr_expect(there(&report, "tables/minima.csv"));
    cr_expect_not(there(&report, "figures/training.pdf"), "a figure of an older report is left");
    cr_expect(there(&report, "figures/my own.pdf"));
    free(page);
    tear_down(&report);
}

Test(report, tells_where_scripts_were_looked_for)
{
    struct report report = set_up(1, 1, 3, 1);
    struct lab_report_tools tools = {.plots = "/nonexistent/plots"};
    cr_assert_eq(write_report(&report, &tools), PEER_OK);
    char *page = read_file(&report, "report.html");
    expect_text(page, "The gnuplot scripts are not in /nonexistent/plots.");
    free(page);
    tear_down(&report);
}

Test(report, works_without_any_run)
{
    struct report report = set_up(1, 1, 3, 1);
    cr_assert_eq(
        lab_report_write_with(report.ctx, report.dir.path, &report.sweep.info, NULL, 0, NULL),
        PEER_OK);
    char *page = read_file(&report, "report.html");
    markup_check(page);
    expect_text(page, "This sweep has no runs yet.");
    free(page);
    tear_down(&report);
}

/* Names as bad as can be end up as text, in figures too. */
Test(report, escapes_what_it_is_given)
{
    struct report report = set_up(3, 1, 3, 1);
    static const char *const evil[] = {"<script>alert(1)</script>", "\"'& ]]> `ls` {/Bold x}^2_y",
                                       "\xff\xc3\x01\n\t, caf\xc3\xa9 $(x) %s"};
    for (int64_t i = 0; i < report.sweep.count; i++) {
        struct lab_result *r = &report.sweep.results[i];
        snprintf(r->variant, sizeof r->variant, "%s", evil[i / 3]);
        snprintf(r->ffw, sizeof r->ffw, "%s", i < 3 ? "dense" : "<i>");
        snprintf(r->message, sizeof r->message, "</td><img src=x onerror=\"y\">");
    }
    report.sweep.results[8].state = LAB_FAILED;
    snprintf(report.sweep.info.name, sizeof report.sweep.info.name, "</title><b>&");
    report.sweep.info.config = "a: </pre><script>\n# &amp;\n";
    cr_assert_eq(write_report(&report, NULL), PEER_OK, "%s", peer_ctx_error(report.ctx));
    char *page = read_file(&report, "report.html");
    markup_check(page);
    expect_own_script(page);
    cr_expect_not(strstr(page, "<img"));
    expect_text(page, "&lt;script&gt;alert(1)&lt;/script&gt;");
    expect_text(page, "caf\xc3\xa9");
    expect_text(page, "\xEF\xBF\xBD");
    cr_expect_not(strchr(page, 1));
    cr_expect_not(strstr(page, "\xff"));
    if (have_gnuplot())
        cr_expect_not(strstr(page, "Figures are missing"));
    free(page);
    tear_down(&report);
}

Test(html, keeps_only_characters_that_xml_may_hold)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"a<b", "a&lt;b"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc3", "\xEF\xBF\xBD"},                                 /* cut off */
        {"\xc0\xaf", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* overlong */
        {"\xed\xa0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* surrogate */
        {"\xef\xbf\xbf", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* no character */
        {"\x1b[0m\t\n", "\xEF\xBF\xBD[0m\t\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *file = open_memstream(&text, &size);
        lab_html_text(file, cases[i].text);
        fclose(file);
        cr_expect_str_eq(text, cases[i].expected, "case %zu: %s", i, text);
        free(text);
    }
}

Test(svg, ids_get_a_prefix)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    lab_svg_inline(file,
                   "<?xml?>\n<svg width='1'>\n<title>G</title>\n<desc>g</desc><g id=\"a\"/>"
                   "<use xlink:href='#a'/><i fill=\"url(#a)\"/></svg>",
                   "x<y", "p-");
    fclose(file);
    cr_expect_str_eq(text, "<svg class=\"plot\" role=\"img\" aria-label=\"x&lt;y\" width='1'>"
                           "<g id=\"p-a\"/><use xlink:href='#p-a'/><i fill=\"url(#p-a)\"/></svg>");
    free(text);
}

/* Names of gnuplot's plots go, texts of points stay, as they were escaped. */
Test(svg, points_have_tooltips)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    lab_svg_inline(
        file,
        "<svg width='1'><g id=\"a\" ><title>gnuplot_plot_1</title><g fill=\"none\">\n</g>\n"
        "<g onmousemove=\"gnuplot_svg.showHypertext(evt,'a&lt;b (1)')\" "
        "onmouseout=\"gnuplot_svg.hideHypertext()\"><title> </title><use/></g></g></svg>",
        "x", "p-");
    fclose(file);
    cr_expect_str_eq(text, "<svg class=\"plot\" role=\"img\" aria-label=\"x\" width='1'>"
                           "<g id=\"p-a\" ><g class=\"tip\"><title>a&lt;b (1)</title><use/></g></g>"
                           "</svg>");
    free(text);
}

/* Four experts with 1, 4, 3 and 0 of 8 retrievals. */
Test(usage, tables_have_worked_values)
{
    struct report report = set_up(2, 1, 3, 1);
    for (int64_t i = 3; i < 6; i++) {
        struct lab_usage *usage = report.sweep.results[i].usage;
        usage->experts = 4;
        usage->side = 2;
        struct tempfile map = tempdir_file(&report.dir, usage->map);
        tempfile_write(&map, "1 4\n3 0\n", 8);
        struct tempfile curve = tempdir_file(&report.dir, report.sweep.results[i].curve);
        static const char text[] = "step,tokens,loss,valid_loss\n1,10,5,\n2,20,4,\n3,30,9,8\n"
                                   "2,20,3,\n3,30,2.5,2.75\n";
        tempfile_write(&curve, text, strlen(text));
    }
    cr_assert_eq(write_report(&report, &without_gnuplot), PEER_OK);
    char *maps = read_file(&report, "tables/usage_maps.csv");
    cr_expect_str_eq(maps, "0.5,2\n1.5,0\n");
    char *rank = read_file(&report, "tables/usage_rank.csv");
    for (int i = 0; i < 5; i++) {
        static const char *const ends[] = {",0,0\n", ",0.25,0.5\n", ",0.5,0.875\n", ",0.75,1\n",
                                           ",1,1\n"};
        expect_text(rank, ends[i]);
    }
    char *training = read_file(&report, "tables/training.csv");
    expect_text(training, ",tokens,loss_nats,valid_nats\n");
    expect_text(training, ",10,5,\n");
    expect_text(training, ",20,3,\n"); /* the step that a resumed run repeated */
    expect_text(training, ",30,2.5,\n");
    expect_text(training, ",30,,2.75\n");
    cr_expect_not(strstr(training, ",30,,8\n"));
    free(maps);
    free(rank);
    free(training);
    tear_down(&report);
}

Test(usage, unreadable_maps_are_named_not_fatal)
{
    static const char *const broken[] = {"1 2 3",    "1 2 3 4 5", "1 2 x 4",
                                         "1 -2 3 4", "0 0 0 0",   ""};
    struct report report = set_up(2, 1, 3, 1);
    for (size_t b = 0; b < sizeof broken / sizeof *broken; b++) {
        for (int64_t i = 3; i < 6; i++) {
            struct lab_usage *usage = report.sweep.results[i].usage;
            usage->experts = 4;
            usage->side = 2;
            struct tempfile map = tempdir_file(&report.dir, usage->map);
            tempfile_write(&map, broken[b], strlen(broken[b]));
        }
        cr_assert_eq(write_report(&report, &without_gnuplot), PEER_OK);
        char *page = read_file(&report, "report.html");
        expect_text(page, "1 file with usage or training curves could not be read");
        free(page);
    }
    tear_down(&report);
}

/* A limit on file sizes stands in for a full disk; it binds gnuplot too. */
Test(report, leaves_the_old_one_whole_on_a_full_disk)
{
    struct report report = set_up(2, 1, 5, 1);
    cr_assert_eq(write_report(&report, &without_gnuplot), PEER_OK);
    char *before = read_file(&report, "report.html");
    int entries = tempdir_count(&report.dir);
    report.sweep.results[0].nats += 0.5;
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit whole, limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &whole), 0);
    limit = whole;
    limit.rlim_cur = strlen(before) - 1000;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum peer_status status = write_report(&report, NULL);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &whole), 0);
    cr_expect_eq(status, PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(report.ctx), "cannot write: File too large"), "%s",
              peer_ctx_error(report.ctx));
    char *after = read_file(&report, "report.html");
    cr_expect_str_eq(before, after);
    cr_expect_eq(tempdir_count(&report.dir), entries);
    free(before);
    free(after);
    tear_down(&report);
}

Test(report, names_the_folder_it_cannot_write)
{
    struct report report = set_up(1, 1, 3, 1);
    struct tempfile file = tempdir_file(&report.dir, "curve-1.csv/under");
    cr_expect_eq(lab_report_write(report.ctx, file.path, &report.sweep.info, report.sweep.results,
                                  report.sweep.count),
                 PEER_ERR_IO);
    cr_expect(strstr(peer_ctx_error(report.ctx), "curve-1.csv"), "%s", peer_ctx_error(report.ctx));
    tear_down(&report);
}

Test(report, survives_every_failed_allocation)
{
    struct report report = set_up(2, 1, 3, 1);
    enum peer_status status = PEER_ERR_MEMORY;
    int64_t granted = 0;
    for (; status != PEER_OK; granted++) {
        struct failing failing = {.granted = -1};
        struct peer_ctx *ctx = failing_ctx(&failing, 1);
        int64_t held = failing.held;
        failing.granted = failing.asked + granted;
        status = lab_report_write_with(ctx, report.dir.path, &report.sweep.info,
                                       report.sweep.results, report.sweep.count, &without_gnuplot);
        cr_expect(status == PEER_OK || status == PEER_ERR_MEMORY);
        cr_expect_eq(there(&report, "report.html"), status == PEER_OK);
        cr_expect_eq(failing.held, held);
        peer_ctx_destroy(&ctx);
        cr_assert_lt(granted, 200);
    }
    cr_expect_gt(granted, 20);
    tear_down(&report);
}
