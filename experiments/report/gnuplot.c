/* SPDX-License-Identifier: MIT */
#include "experiments/report/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/base/process.h"
#include "experiments/cli/stop.h"
#include "experiments/report/svg.h"

extern char **environ;

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
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions))
        return ENOMEM;
    pid_t child;
    int failed = lab_process_signals(&attributes);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (!failed)
        failed = posix_spawn_file_actions_addopen(&actions, 2, complaints,
                                                  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
    if (!failed)
        failed = posix_spawn_file_actions_addchdir_np(&actions, folder);
    if (!failed)
        failed = posix_spawnp(&child, gnuplot, &actions, &attributes, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    int end = -1;
    if (!failed)
        lab_process_wait(child, &end, lab_stop_asked, NULL);
    return failed ? failed : end ? -1 : 0;
}

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

/* Says why there is no picture; with `failed` > 0 there will be no other either. */
static void complain(struct lab_drawing *drawing, const char *picture, const char *format,
                     int failed, const char *complaints)
{
    if (failed > 0) {
        drawing->stopped = true;
        snprintf(drawing->note, sizeof drawing->note,
                 "%.200s: %s. With gnuplot installed there are figures.", drawing->gnuplot,
                 strerror(failed));
    } else if (!*drawing->note) {
        char text[200];
        read_complaint(text, complaints);
        snprintf(drawing->note, sizeof drawing->note, "gnuplot could not draw %s.%s: %s", picture,
                 format, text);
    }
}

/* Says that there is no picture, for the reason that the context has. */
static void note_missing(struct lab_drawing *drawing, const struct lab_picture *picture)
{
    if (!*drawing->note)
        snprintf(drawing->note, sizeof drawing->note, "no picture %.60s: %.300s", picture->name,
                 peer_ctx_error(drawing->stage->ctx));
}

/* One picture `output` (in the stage); false and a note where it was not drawn. */
static bool draw(struct lab_drawing *drawing, const struct lab_picture *picture, const char *format,
                 const char *settings, const char *output)
{
    char complaints[LAB_STAGE_PATH], path[LAB_STAGE_PATH], script[LAB_STAGE_PATH + 64], all[1024];
    if (drawing->stopped || lab_stop_asked(NULL))
        return false;
    if (lab_stage_path(drawing->stage, complaints, "gnuplot.txt") != PEER_OK ||
        lab_stage_path(drawing->stage, path, output) != PEER_OK) {
        note_missing(drawing, picture);
        return false;
    }
    snprintf(script, sizeof script, "%s/%.60s", drawing->plots, picture->script);
    snprintf(all, sizeof all, "tables='%s'; format='%s'; output='%s'; %s%s%s", drawing->tables,
             format, output, picture->settings, *picture->settings ? "; " : "", settings);
    int failed = spawn(drawing->gnuplot, drawing->stage->hidden, complaints, all, script);
    if (!failed && !is_whole(path, strcmp(format, "svg") ? "%%EOF" : "</svg>"))
        failed = -1;
    if (failed && !lab_stop_asked(NULL))
        complain(drawing, picture->name, format, failed, complaints);
    return !failed;
}

/* The whole of a picture as text, malloc()ed, or NULL and a note. */
static char *read_text(struct lab_drawing *drawing, const struct lab_picture *picture,
                       const char *name)
{
    char path[LAB_STAGE_PATH], *text = NULL;
    size_t room = 0;
    enum peer_status status = lab_stage_path(drawing->stage, path, name);
    FILE *file = status == PEER_OK ? fopen(path, "r") : NULL;
    bool read = file && getdelim(&text, &room, 0, file) > 0 && !ferror(file);
    if (!read && status == PEER_OK)
        peer_fail(drawing->stage->ctx, PEER_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    if (file)
        fclose(file);
    if (read)
        return text;
    note_missing(drawing, picture);
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

/* PEER_ERR_STOPPED, with a text, where the drawing was ended. */
static enum peer_status check_stop(const struct lab_drawing *drawing)
{
    return lab_stop_asked(NULL) ? peer_fail(drawing->stage->ctx, PEER_ERR_STOPPED,
                                            "stopped while drawing; nothing was changed")
                                : PEER_OK;
}

enum peer_status lab_drawing_figure(struct lab_drawing *drawing, struct lab_figure *ret,
                                    const struct lab_picture *picture)
{
    char name[96], raw[96], path[LAB_STAGE_PATH];
    *ret = (struct lab_figure){.title = picture->title};
    snprintf(raw, sizeof raw, "drawn/%.60s.svg", picture->name);
    if (draw(drawing, picture, "svg", "", raw))
        ret->wide = read_text(drawing, picture, raw);
    if (!ret->wide)
        return check_stop(drawing);
    if (picture->narrow && draw(drawing, picture, "svg", "columns=1", raw))
        ret->narrow = read_text(drawing, picture, raw);
    snprintf(name, sizeof name, "%.20s/%.60s.svg", drawing->figures, picture->name);
    enum peer_status status = write_svg(drawing->stage, name, ret->wide, ret->title);
    snprintf(name, sizeof name, "%.20s/%.60s.pdf", drawing->figures, picture->name);
    if (status == PEER_OK && !draw(drawing, picture, "pdf", "", name) &&
        lab_stage_path(drawing->stage, path, name) == PEER_OK)
        unlink(path);
    if (status == PEER_OK)
        status = check_stop(drawing);
    if (status != PEER_OK)
        lab_figure_free(ret);
    return status;
}

void lab_figure_free(struct lab_figure *figure)
{
    free(figure->wide);
    free(figure->narrow);
    figure->wide = figure->narrow = NULL;
}

enum peer_status lab_drawing_svg(struct lab_drawing *drawing, const struct lab_picture *picture,
                                 int columns, const char *name)
{
    static const char raw[] = "drawn/one.svg";
    char settings[32];
    snprintf(settings, sizeof settings, "columns=%d", columns);
    char *svg =
        draw(drawing, picture, "svg", settings, raw) ? read_text(drawing, picture, raw) : NULL;
    enum peer_status status = svg ? write_svg(drawing->stage, name, svg, picture->title) : PEER_OK;
    free(svg);
    return status == PEER_OK ? check_stop(drawing) : status;
}

void lab_drawing_start(struct lab_drawing *drawing, struct lab_stage *stage,
                       const struct lab_report_tools *tools, const char *tables,
                       const char *figures)
{
    const char *folder = plots_folder(tools);
    char *plots = realpath(folder, NULL);
    *drawing = (struct lab_drawing){.stage = stage, .tables = tables, .figures = figures};
    drawing->gnuplot = tools && tools->gnuplot ? tools->gnuplot : "gnuplot";
    drawing->stopped = !plots || strlen(plots) >= sizeof drawing->plots;
    if (drawing->stopped)
        snprintf(drawing->note, sizeof drawing->note, "The gnuplot scripts are not in %.300s.",
                 folder);
    else
        strcpy(drawing->plots, plots);
    free(plots);
}

void lab_figure_inline(FILE *file, const struct lab_figure *figure, int id, const char *caption)
{
    char prefix[16];
    if (!figure->wide)
        return;
    fputs("<figure>\n", file);
    if (figure->narrow) {
        snprintf(prefix, sizeof prefix, "n%d-", id);
        fputs("<div class=\"narrow\">", file);
        lab_svg_inline(file, figure->narrow, figure->title, prefix);
        fputs("</div>\n", file);
    }
    snprintf(prefix, sizeof prefix, "w%d-", id);
    fputs("<div class=\"wide\">", file);
    lab_svg_inline(file, figure->wide, figure->title, prefix);
    fprintf(file, "</div>\n<figcaption>%s</figcaption>\n</figure>\n", caption);
}
