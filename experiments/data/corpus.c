/* SPDX-License-Identifier: MIT */
#include "experiments/data/corpus.h"

#include <errno.h>
#include <fnmatch.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/cli/progress.h"
#include "experiments/data/clean.h"
#include "experiments/data/data_folder.h"
#include "experiments/report/stage.h"

enum { PATTERNS = 2, LOG_BYTES = 2048 };

struct source {
    const char *package;
    bool prose;
    lab_clean_file *clean;
    const char *files[PATTERNS]; /* patterns of their paths, taken in this order */
    const char *licence;
    int64_t bytes; /* of the text that is known; 0 = it differs between releases */
    uint32_t crc;
};

static const struct source sources[] = {
    {"anarchism",
     true,
     lab_clean_markdown,
     {"*/markdown/sec[A-J]*.md*", "*/markdown/append*.md*"},
     "An Anarchist FAQ, GPL-2",
     11113993,
     0xa0cb4294},
    {"sword-comm-tdavid",
     true,
     lab_clean_sword,
     {"*/ot.?zs", "*/nt.?zs"},
     "C. H. Spurgeon, The Treasury of David, public domain",
     11816658,
     0x3762d919},
    {"sword-comm-mhcc",
     true,
     lab_clean_sword,
     {"*/ot.?zs", "*/nt.?zs"},
     "M. Henry, Concise Commentary, public domain",
     3943413,
     0x1234bb4b},
    {"sword-text-kjv",
     true,
     lab_clean_sword,
     {"*/ot.?zs", "*/nt.?zs"},
     "King James Version, public domain outside the United Kingdom",
     0,
     0},
    {"r-cran-janeaustenr",
     true,
     lab_clean_rdata,
     {"*/data/Rdata.rdb", NULL},
     "J. Austen, six novels, public domain",
     4016858,
     0xfdc94ed7},
    {"fortunes-min",
     false,
     lab_clean_fortunes,
     {"*/games/fortunes/!(*.*)", NULL},
     "epigrams of the program fortune, mixed licences",
     0,
     0},
    {"fortunes",
     false,
     lab_clean_fortunes,
     {"*/games/fortunes/!(*.*)", NULL},
     "epigrams of the program fortune, mixed licences",
     0,
     0},
    {"dict-gcide",
     false,
     lab_clean_gcide,
     {"*/gcide.dict.dz", NULL},
     "The Collaborative International Dictionary of English, GPL-2 or later",
     29110024,
     0x5256f1cf},
};

/* Everything that one call works with. */
struct maker {
    struct peer_ctx *ctx;
    const struct lab_corpus_options *options;
    const struct lab_work *work;
    FILE *report;
    struct lab_folder folder;
    char place[LAB_PATH]; /* where a package is fetched and unpacked */
    int done;
};

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Cleans the files below the package's place whose paths match. */
static enum peer_status clean_files(struct maker *maker, const struct source *source,
                                    const char *pattern, struct lab_cleaner *cleaner)
{
    char *roots[] = {maker->place, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!tree)
        return peer_fail(maker->ctx, PEER_ERR_IO, "%s: cannot read: %s", maker->place,
                         strerror(errno));
    enum peer_status status = PEER_OK;
    for (FTSENT *entry; status == PEER_OK && (entry = fts_read(tree));) {
        if (entry->fts_info != FTS_F || fnmatch(pattern, entry->fts_path, FNM_EXTMATCH) != 0)
            continue;
        status = lab_work_check(maker->ctx, maker->work);
        if (status == PEER_OK)
            status = source->clean(cleaner, entry->fts_path);
    }
    fts_close(tree);
    return status;
}

static enum peer_status report_source(struct maker *maker, const struct source *source,
                                      const struct lab_text_file *file)
{
    bool known = source->bytes == file->bytes && source->crc == file->crc;
    if (file->documents == 0)
        return peer_fail(maker->ctx, PEER_ERR_FORMAT,
                         "%s: this version of the package has none of the text looked for",
                         source->package);
    if (source->bytes > 0 && !known && maker->options->strict)
        return peer_fail(maker->ctx, PEER_ERR_FORMAT,
                         "%s: %lld bytes with CRC-32 %08x, expected %lld bytes with %08x",
                         source->package, (long long)file->bytes, file->crc,
                         (long long)source->bytes, source->crc);
    const char *note = source->bytes == 0 ? "differs between releases, not checked"
                       : known            ? "checked"
                                          : "NOT the text that this program was tested with";
    fprintf(maker->report, "%-20s %8lld documents %9lld bytes  CRC-32 %08x  %s\n", source->package,
            (long long)file->documents, (long long)file->bytes, file->crc, note);
    return lab_sources_add(&maker->folder,
                           "%s.jsonl: from the Debian package %s: %s. %lld documents, %lld bytes, "
                           "CRC-32 %08x (%s)\n",
                           source->package, source->package, source->licence,
                           (long long)file->documents, (long long)file->bytes, file->crc, note);
}

static enum peer_status clean_source(struct maker *maker, const struct source *source)
{
    struct lab_text_file file;
    enum peer_status status = lab_text_file_create(&file, &maker->folder, source->package);
    if (status != PEER_OK)
        return status;
    struct lab_cleaner cleaner = lab_cleaner_create(maker->ctx, &file);
    for (int i = 0; i < PATTERNS && status == PEER_OK && source->files[i]; i++)
        status = clean_files(maker, source, source->files[i], &cleaner);
    lab_cleaner_free(&cleaner);
    if (status == PEER_OK)
        status = lab_text_file_finish(&file);
    lab_text_file_abandon(&file);
    return status == PEER_OK ? report_source(maker, source, &file) : status;
}

/* Runs a program in the package's place; `log` takes the end of what it said. */
static enum peer_status run(struct maker *maker, const char *const *argv, char log[LOG_BYTES],
                            bool *failed)
{
    struct lab_child_setup setup = {.argv = argv, .folder = maker->place, .pipe = LAB_CHILD_BOTH};
    return lab_child_run(maker->ctx, &setup, maker->work, log, LOG_BYTES, failed);
}

/* Fetches a package; *missing = apt has none of this name. */
static enum peer_status fetch(struct maker *maker, const char *package, bool *missing)
{
    const char *const argv[] = {"apt-get",  "-q",    "-o", "APT::Sandbox::User=root",
                                "download", package, NULL};
    char log[LOG_BYTES];
    bool failed;
    enum peer_status status = run(maker, argv, log, &failed);
    if (status != PEER_OK || !failed)
        return status;
    *missing = strstr(log, "Unable to locate") || strstr(log, "has no installation candidate") ||
               strstr(log, "Can't find a source") || strstr(log, "Can't select");
    if (*missing)
        return PEER_OK;
    for (size_t length = strlen(log); length > 0 && log[length - 1] == '\n';)
        log[--length] = '\0';
    const char *line = strrchr(log, '\n');
    return peer_fail(maker->ctx, PEER_ERR_IO,
                     "apt-get cannot fetch %s: %s (if the package lists are old: "
                     "sudo apt-get update)",
                     package, line ? line + 1 : log);
}

/* Unpacks the one *.deb file in the package's place, and removes it. */
static enum peer_status unpack(struct maker *maker, const char *package)
{
    char *roots[] = {maker->place, NULL}, log[LOG_BYTES], deb[LAB_PATH] = "";
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    for (FTSENT *entry; tree && (entry = fts_read(tree));)
        if (entry->fts_info == FTS_F && fnmatch("*.deb", entry->fts_name, 0) == 0)
            snprintf(deb, sizeof deb, "./%s", entry->fts_name);
    if (tree)
        fts_close(tree);
    const char *const argv[] = {"dpkg-deb", "-x", deb, ".", NULL};
    bool failed;
    enum peer_status status = run(maker, argv, log, &failed);
    if (status == PEER_OK && failed)
        status = peer_fail(maker->ctx, PEER_ERR_IO, "dpkg-deb cannot unpack %s: %s", package, log);
    return status;
}

static enum peer_status make_source(struct maker *maker, const struct source *source)
{
    bool missing = false;
    if (mkdir(maker->place, 0777))
        return peer_fail(maker->ctx, PEER_ERR_IO, "%s: cannot create the folder: %s", maker->place,
                         strerror(errno));
    enum peer_status status = fetch(maker, source->package, &missing);
    if (status == PEER_OK && missing)
        fprintf(maker->report, "%-20s is not in this release's lists, left out\n", source->package);
    if (status == PEER_OK && !missing)
        status = unpack(maker, source->package);
    if (status == PEER_OK && !missing)
        status = clean_source(maker, source);
    maker->done += status == PEER_OK && !missing;
    lab_remove_tree(maker->place);
    return status;
}

static enum peer_status make_sources(struct maker *maker)
{
    struct lab_progress progress;
    int count = (int)(sizeof sources / sizeof *sources);
    enum peer_status status = PEER_OK;
    lab_progress_start(&progress, "fetching text", "packages", count, 0);
    for (int i = 0; i < count && status == PEER_OK; i++)
        if (sources[i].prose || maker->options->all) {
            if (maker->work->show)
                lab_progress_update(&progress, i, sources[i].package);
            status = make_source(maker, &sources[i]);
        }
    lab_progress_end(&progress);
    if (status == PEER_OK && maker->done == 0)
        status = peer_fail(maker->ctx, PEER_ERR_IO,
                           "apt-get knows none of the packages; it may lack its lists: "
                           "sudo apt-get update");
    return status;
}

enum peer_status lab_corpus_make(struct peer_ctx *ctx, const struct lab_corpus_options *options,
                                 const struct lab_work *work, FILE *report)
{
    struct maker maker = {.ctx = ctx, .options = options, .work = work, .report = report};
    enum peer_status status =
        lab_folder_create(&maker.folder, ctx, options->out, LAB_SOURCES, options->force);
    if (status != PEER_OK)
        return status;
    lab_folder_path(&maker.folder, maker.place, "package");
    return lab_folder_finish(&maker.folder, make_sources(&maker));
}
