/* SPDX-License-Identifier: MIT */
#include "experiments/report/figures.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/report/svg.h"

extern char **environ;

static const struct {
    const char *name, *script, *settings, *title;
    bool narrow; /* has a version with one panel per row */
} list[LAB_FIGURE_COUNT] = {
    {"isoflop-active", "isoflop.gp", "axis='active'",
     "Validation loss against active parameters at equal FLOPs", true},
    {"isoflop-total", "isoflop.gp", "axis='total'",
     "Validation loss against total parameters at equal FLOPs", true},
    {"utilization", "utilization.gp", "", "Share of all retrievals that the most used experts get",
     true},
    {"usage-maps", "usage-maps.gp", "columns=2", "Retrievals of each expert on the n x n grid",
     false},
    {"usage-loads", "usage-loads.gp", "columns=3",
     "Retrievals of each expert, relative to the mean", false},
    {"training", "training.gp", "", "Training loss against tokens of the best runs", true},
    {"lorenz", "lorenz.gp", "", "Share of the load that the least used experts hold", true},
    {"usage-timeline", "usage-timeline.gp", "", "Utilization of experts over the training", true},
    {"usage-steps", "usage-steps.gp", "", "Retrievals of each expert at steps of the training",
     false},
};

static const char *plots_folder(const struct lab_report_tools *tools)
{
    if (tools && tools->plots)
        return tools->plots;
    return access(PEERLAB_PLOTS_DIR "/style.gp", R_OK) ? PEERLAB_PLOTS_SOURCE : PEERLAB_PLOTS_DIR;
}

/* The first 200 bytes of what gnuplot said, without line ends. */
static void read_complaint(char text[200], const char *path)
{
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, 199, file) : 0;
    text[length] = 0;
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
    if (file)
        fclose(file);
}

/* Runs gnuplot in `folder`; returns 0 where it ended well, or else an errno value, or -1. */
static int spawn(const char *gnuplot, const char *folder, const char *complaints, char *settings,
                 char *script)
{
    char program[] = "gnuplot", defaults[] = "-d", option[] = "-e";
    char *arguments[] = {program, defaults, option, settings, script, NULL};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions))
        return ENOMEM;
    pid_t child;
    int failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(&actions, 2, complaints,
                                                  O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (!failed)
        failed = posix_spawn_file_actions_addchdir_np(&actions, folder);
    if (!failed)
        failed = posix_spawnp(&child, gnuplot, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    int end = -1;
    while (!failed && waitpid(child, &end, 0) < 0 && errno == EINTR)
        end = -1;
    return failed ? failed : end ? -1 : 0;
}

struct drawing {
    struct lab_stage *stage;
    char *note;
    size_t note_size;
    const char *gnuplot;
    char plots[LAB_STAGE_PATH]; /* absolute */
    bool stopped;               /* gnuplot cannot be run */
};

/* Whether a picture is whole: a full disk cuts it without a word from gnuplot. */
static bool is_whole(const char *path, const char *end)
{
    char tail[64];
    FILE *file = fopen(path, "r");
    size_t length = 0;
    if (file && !fseek(file, -32, SEEK_END))
        length = fread(tail, 1, 32, file);
    tail[length] = 0;
    if (file)
        fclose(file);
    return strstr(tail, end);
}

/* One picture `output` (in the stage); false and a note where it was not drawn. */
static bool draw(struct drawing *drawing, int id, const char *format, const char *settings,
                 const char *output)
{
    char complaints[LAB_STAGE_PATH], path[LAB_STAGE_PATH], script[LAB_STAGE_PATH + 32], all[512];
    if (drawing->stopped || lab_stage_path(drawing->stage, complaints, "gnuplot.txt") != PEER_OK ||
        lab_stage_path(drawing->stage, path, output) != PEER_OK)
        return false;
    snprintf(script, sizeof script, "%s/%s", drawing->plots, list[id].script);
    snprintf(all, sizeof all, "tables='tables'; format='%s'; output='%s'; %s%s%s", format, output,
             list[id].settings, *list[id].settings ? "; " : "", settings);
    int failed = spawn(drawing->gnuplot, drawing->stage->hidden, complaints, all, script);
    if (!failed && !is_whole(path, strcmp(format, "svg") ? "%%EOF" : "</svg>"))
        failed = -1;
    if (failed > 0) {
        drawing->stopped = true;
        snprintf(drawing->note, drawing->note_size,
                 "%.200s: %s. With gnuplot installed there are figures.", drawing->gnuplot,
                 strerror(failed));
    } else if (failed && !*drawing->note) {
        char text[200];
        read_complaint(text, complaints);
        snprintf(drawing->note, drawing->note_size, "gnuplot could not draw %s.%s: %s",
                 list[id].name, format, text);
    }
    return !failed;
}

/* The whole of a picture as text, malloc()ed, or NULL. */
static char *read_text(struct lab_stage *stage, const char *name)
{
    char path[LAB_STAGE_PATH];
    if (lab_stage_path(stage, path, name) != PEER_OK)
        return NULL;
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t room = 0;
    ssize_t length = file ? getdelim(&text, &room, 0, file) : -1;
    if (file)
        fclose(file);
    if (length > 0)
        return text;
    free(text);
    return NULL;
}

/* Writes a drawn picture as the file `name`. */
static enum peer_status write_svg(struct lab_stage *stage, const char *name, const char *svg,
                                  const char *title)
{
    FILE *file = lab_stage_create(stage, name);
    if (!file)
        return PEER_ERR_IO;
    lab_svg_write(file, svg, title);
    return lab_stage_close(stage, file, name);
}

static enum peer_status draw_figure(struct drawing *drawing, struct lab_figure *figure, int id)
{
    char name[96], raw[96], path[LAB_STAGE_PATH];
    snprintf(raw, sizeof raw, "drawn/%s.svg", list[id].name);
    if (draw(drawing, id, "svg", "", raw))
        figure->wide = read_text(drawing->stage, raw);
    if (!figure->wide)
        return PEER_OK;
    if (list[id].narrow && draw(drawing, id, "svg", "columns=1", raw))
        figure->narrow = read_text(drawing->stage, raw);
    snprintf(name, sizeof name, "figures/%s.svg", list[id].name);
    enum peer_status status = write_svg(drawing->stage, name, figure->wide, figure->title);
    snprintf(name, sizeof name, "figures/%s.pdf", list[id].name);
    if (status == PEER_OK && !draw(drawing, id, "pdf", "", name) &&
        lab_stage_path(drawing->stage, path, name) == PEER_OK)
        unlink(path);
    return status;
}

/* False and a note where the scripts are not to be found. */
static bool start_drawing(struct drawing *drawing, const struct lab_report_tools *tools)
{
    const char *folder = plots_folder(tools);
    char *plots = realpath(folder, NULL);
    bool found = plots && strlen(plots) < sizeof drawing->plots;
    drawing->gnuplot = tools && tools->gnuplot ? tools->gnuplot : "gnuplot";
    if (found)
        strcpy(drawing->plots, plots);
    else
        snprintf(drawing->note, drawing->note_size, "The gnuplot scripts are not in %.300s.",
                 folder);
    free(plots);
    return found;
}

enum peer_status lab_figures_draw(struct lab_figures *ret, struct lab_stage *stage,
                                  const struct lab_report_tools *tools,
                                  const struct lab_minima *minima, const struct lab_shown *shown)
{
    *ret = (struct lab_figures){.note = ""};
    struct drawing drawing = {.stage = stage, .note = ret->note, .note_size = sizeof ret->note};
    if (!start_drawing(&drawing, tools))
        return PEER_OK;
    int64_t runs = 0;
    for (int64_t i = 0; i < minima->budgets * minima->variants; i++)
        runs += minima->curve[i].fit[LAB_ACTIVE].runs;
    const struct lab_tracked *tracked = &shown->tracked;
    const int64_t data[] = {runs,         runs,          shown->ranks,    shown->maps,
                            shown->bars,  shown->curves, tracked->curves, tracked->timelines,
                            tracked->maps};
    enum peer_status status = PEER_OK;
    for (int id = 0; status == PEER_OK && id < LAB_FIGURE_COUNT; id++) {
        ret->figure[id].title = list[id].title;
        if (data[id] > 0)
            status = draw_figure(&drawing, &ret->figure[id], id);
    }
    if (status != PEER_OK)
        lab_figures_free(ret);
    return status;
}

void lab_figures_free(struct lab_figures *figures)
{
    for (int id = 0; id < LAB_FIGURE_COUNT; id++) {
        free(figures->figure[id].wide);
        free(figures->figure[id].narrow);
        figures->figure[id].wide = figures->figure[id].narrow = NULL;
    }
}

enum peer_status lab_figure_one_draw(struct lab_stage *stage, enum lab_figure_id id, int columns,
                                     const char *name, char *note, size_t size)
{
    static const char raw[] = "drawn/one.svg";
    char settings[32];
    snprintf(settings, sizeof settings, "columns=%d", columns);
    struct drawing drawing = {.stage = stage, .note = note, .note_size = size};
    if (!start_drawing(&drawing, NULL) || !draw(&drawing, id, "svg", settings, raw))
        return PEER_OK;
    char *svg = read_text(stage, raw);
    enum peer_status status = svg ? write_svg(stage, name, svg, list[id].title) : PEER_OK;
    free(svg);
    return status;
}
