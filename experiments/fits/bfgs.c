/* SPDX-License-Identifier: MIT */
#include "experiments/fits/bfgs.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

struct search {
    int n;
    lab_bfgs_fn *function;
    const void *job;
    double x[LAB_BFGS_MOST], gradient[LAB_BFGS_MOST], value;
    double direction[LAB_BFGS_MOST];
    double inverse[LAB_BFGS_MOST][LAB_BFGS_MOST]; /* of the Hessian, as known so far */
    bool scaled;                                  /* false: still the identity */
};

static double dot(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void forget_curvature(struct search *s)
{
    memset(s->inverse, 0, sizeof s->inverse);
    for (int i = 0; i < s->n; i++)
        s->inverse[i][i] = 1;
    s->scaled = false;
}

/* direction = -inverse gradient. Returns the slope along it. */
static double aim(struct search *s)
{
    for (int i = 0; i < s->n; i++)
        s->direction[i] = -dot(s->inverse[i], s->gradient, s->n);
    return dot(s->direction, s->gradient, s->n);
}

/* Steps along the direction to a point that is lower by a share of what `slope` promises and where
 * the slope has flattened, by doubling and halving. x_step, g_step: the changes of x and gradient.
 * False where nothing lower is found. */
static bool step(struct search *s, double slope, double x_step[], double g_step[])
{
    static const double lower = 1e-4, flatter = 0.9;
    double low = 0, high = INFINITY, x[LAB_BFGS_MOST], g[LAB_BFGS_MOST];
    double t = s->scaled ? 1 : fmin(1, 1 / sqrt(dot(s->gradient, s->gradient, s->n)));
    for (int tries = 0; tries < 60; tries++) {
        for (int i = 0; i < s->n; i++)
            x[i] = s->x[i] + t * s->direction[i];
        double value = s->function(s->job, x, g);
        bool falls = value < s->value && value <= s->value + lower * t * slope;
        if (falls && (dot(g, s->direction, s->n) >= flatter * slope || tries > 40)) {
            for (int i = 0; i < s->n; i++) {
                x_step[i] = x[i] - s->x[i];
                g_step[i] = g[i] - s->gradient[i];
            }
            memcpy(s->x, x, sizeof x);
            memcpy(s->gradient, g, sizeof g);
            s->value = value;
            return true;
        }
        if (falls)
            low = t;
        else
            high = t;
        t = isinf(high) ? 2 * low : (low + high) / 2;
    }
    return false;
}

/* inverse = (1 - p s y') inverse (1 - p y s') + p s s',  s: x_step, y: g_step, p = 1 / s'y. */
static void learn(struct search *s, const double x_step[], const double g_step[])
{
    int n = s->n;
    double curvature = dot(x_step, g_step, n), all = dot(g_step, g_step, n);
    if (!(curvature > 0))
        return;
    for (int i = 0; i < n && !s->scaled; i++)
        s->inverse[i][i] = curvature / all;
    s->scaled = true;
    double seen[LAB_BFGS_MOST]; /* inverse y */
    for (int i = 0; i < n; i++)
        seen[i] = dot(s->inverse[i], g_step, n);
    double along = (1 + dot(g_step, seen, n) / curvature) / curvature;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            s->inverse[i][j] += along * x_step[i] * x_step[j] -
                                (seen[i] * x_step[j] + x_step[i] * seen[j]) / curvature;
}

double lab_bfgs(double *x, int n, lab_bfgs_fn *function, const void *job)
{
    struct search s = {.n = n, .function = function, .job = job};
    memcpy(s.x, x, (size_t)n * sizeof *x);
    s.value = function(job, s.x, s.gradient);
    if (!isfinite(s.value))
        return NAN;
    forget_curvature(&s);
    for (int steps = 0; steps < 2000; steps++) {
        double slope = aim(&s), x_step[LAB_BFGS_MOST], g_step[LAB_BFGS_MOST];
        if (slope == 0 || (s.scaled && -slope < DBL_EPSILON * fabs(s.value)))
            break;
        if (slope < 0 && step(&s, slope, x_step, g_step)) {
            learn(&s, x_step, g_step);
            continue;
        }
        if (!s.scaled)
            break;
        forget_curvature(&s); /* what is known misleads: once more down the gradient */
    }
    memcpy(x, s.x, (size_t)n * sizeof *x);
    return s.value;
}
