/* SPDX-License-Identifier: MIT */
#include "experiments/fits/power.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

#include "experiments/fits/quiet.h"

static const double tail = (1 - LAB_FIT_LEVEL) / 2;

struct lab_seed_noise lab_seed_noise_of(double deviation, double freedom)
{
    struct lab_seed_noise noise = {deviation, freedom, lab_interval_unknown()};
    if (!isfinite(deviation) || deviation < 0 || !(freedom > 0))
        return (struct lab_seed_noise){NAN, 0, noise.interval};
    lab_fits_quiet();
    noise.interval =
        (struct lab_interval){true, deviation * sqrt(freedom / gsl_cdf_chisq_Qinv(tail, freedom)),
                              deviation * sqrt(freedom / gsl_cdf_chisq_Pinv(tail, freedom))};
    return noise;
}

/* P(T <= t), T noncentral t of `center` > 0, t > 0:
 *     Phi(-center) + 1/2 sum_j p_j I_x(j + 1/2, f/2) + q_j I_x(j + 1, f/2),  x = t^2 / (f + t^2),
 * with p_j, q_j Poisson weights of rate center^2 / 2 at j and j + 1/2. */
static double noncentral_t_below(double t, double freedom, double center)
{
    double rate = center * center / 2, x = t * t / (freedom + t * t);
    double p = exp(-rate), q = center * exp(-rate) / sqrt(2) / tgamma(1.5), sum = 0;
    for (int j = 0; j < rate || p + q > 1e-17; j++) {
        sum += p * gsl_cdf_beta_P(x, j + 0.5, freedom / 2) +
               q * gsl_cdf_beta_P(x, j + 1.0, freedom / 2);
        p *= rate / (j + 1);
        q *= rate / (j + 1.5);
    }
    return gsl_cdf_ugaussian_P(-center) + sum / 2;
}

static double freedom_of(struct lab_design design)
{
    return (double)design.sizes * (double)(design.seeds - 1);
}

/* Where the true mean is `center` standard errors from zero. */
static double power_at(double center, double freedom)
{
    static const double far = 37; /* beyond it exp(-center^2 / 2) underflows */
    lab_fits_quiet();
    return center < far ? 1 - noncentral_t_below(gsl_cdf_tdist_Qinv(tail, freedom), freedom, center)
                        : 1;
}

double lab_power(double difference, double deviation, struct lab_design design)
{
    if (design.seeds < 2 || !(fabs(difference) > 0) || !(deviation >= 0))
        return 0;
    double root = sqrt((double)design.sizes * (double)design.seeds);
    return power_at(fabs(difference) / deviation * root, freedom_of(design));
}

/* Standard errors from zero that are shown with LAB_POWER. */
static double center_needed(double freedom)
{
    double low = 0, high = 40;
    for (int i = 0; i < 48; i++) {
        double middle = (low + high) / 2;
        if (power_at(middle, freedom) < LAB_POWER)
            low = middle;
        else
            high = middle;
    }
    return high;
}

struct lab_detectable lab_power_difference(struct lab_seed_noise noise, struct lab_design design)
{
    struct lab_detectable ret = {design.seeds, NAN, lab_interval_unknown()};
    if (design.seeds < 2 || design.sizes < 1 || !noise.interval.known)
        return ret;
    double errors =
        center_needed(freedom_of(design)) / sqrt((double)design.sizes * (double)design.seeds);
    ret.difference = errors * noise.deviation;
    ret.likely =
        (struct lab_interval){true, errors * noise.interval.low, errors * noise.interval.high};
    return ret;
}

void lab_power_table(struct lab_detectable ret[LAB_POWER_ROWS], struct lab_seed_noise noise,
                     int64_t sizes)
{
    for (int64_t i = 0; i < LAB_POWER_ROWS; i++)
        ret[i] = lab_power_difference(noise, (struct lab_design){sizes, LAB_POWER_FIRST + i});
}

static bool shown(double difference, double deviation, int64_t sizes, int64_t seeds)
{
    return lab_power(difference, deviation, (struct lab_design){sizes, seeds}) >= LAB_POWER;
}

static int64_t seeds_for(double difference, double deviation, int64_t sizes)
{
    int64_t low = 1, high = 2;
    while (high < LAB_POWER_MOST && !shown(difference, deviation, sizes, high)) {
        low = high;
        high = high * 2 < LAB_POWER_MOST ? high * 2 : LAB_POWER_MOST;
    }
    if (!shown(difference, deviation, sizes, high))
        return 0;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (shown(difference, deviation, sizes, middle))
            high = middle;
        else
            low = middle;
    }
    return high;
}

struct lab_seeds_needed lab_power_seeds(struct lab_seed_noise noise, double difference,
                                        int64_t sizes)
{
    if (!noise.interval.known || sizes < 1 || difference == 0 || !isfinite(difference))
        return (struct lab_seeds_needed){0, 0, 0};
    return (struct lab_seeds_needed){seeds_for(difference, noise.deviation, sizes),
                                     seeds_for(difference, noise.interval.low, sizes),
                                     seeds_for(difference, noise.interval.high, sizes)};
}
