#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

/* Says in one line that what starts this as one of several processes is not what its MPI understands:
 * that would take each for the only one, rank 0 of 1, and all of them would do the same. Only the
 * first says so, and whatever it is starts in any case: not every program uses MPI. */

enum mpi { MPI_OPENMPI, MPI_PMIX, MPI_PMI, MPI_SLURM };

static const struct starter {
    const char *size, *rank, *name;
} starters[] = {
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "the mpirun of Open MPI"},
    {"PMI_SIZE", "PMI_RANK", "the mpiexec of MPICH or its kin"},
    {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"},
};
enum { BY_OPENMPI, BY_PMI, BY_SLURM, STARTERS };

/* Whether a variable is a number, of more than `least`. */
static bool is_more(const char *name, uint64_t least)
{
    uint64_t number;
    const char *value = getenv(name);
    return value && parse_number(value, INT64_MAX, &number) && number > least;
}

/* The innermost: what mpirun starts in a job of Slurm has the variables of both. */
static int find_starter(void)
{
    int by = 0;
    while (by < STARTERS && !(getenv(starters[by].size) && getenv(starters[by].rank)))
        by++;
    if (by == STARTERS || !is_more(starters[by].size, 1) || is_more(starters[by].rank, 0))
        return STARTERS;
    /* srun --mpi=pmi2 sets them too, and mpiexec its own besides. */
    return by == BY_PMI && getenv("SLURM_STEP_ID") && !getenv("MPI_LOCALNRANKS") ? BY_SLURM : by;
}

static bool understands(int mpi, int by)
{
    bool pmi = getenv("PMI_RANK") || getenv("PMI_FD") || getenv("PMI_PORT");
    switch (mpi) {
    case MPI_OPENMPI: return by != BY_PMI; /* under srun it says itself what is missing */
    case MPI_PMIX: return getenv("PMIX_RANK");
    case MPI_PMI: return by != BY_OPENMPI && (pmi || getenv("I_MPI_PMI_LIBRARY"));
    default: return by != BY_OPENMPI;
    }
}

/* Where the loader looks besides: what a module of the site has set. */
static bool is_in_library_path(const char *name)
{
    char *rest = format("%s", getenv("LD_LIBRARY_PATH") ? getenv("LD_LIBRARY_PATH") : "");
    for (char *directory; (directory = strsep(&rest, ":"));)
        if (*directory && access(format("%s/%s", directory, name), F_OK) == 0)
            return true;
    return false;
}

void warn_of_mpi(const struct stack *stack)
{
    const struct conf *conf = NULL;
    for (size_t i = stack->count; i-- > 0;)
        if (stack->confs[i].mpi >= 0)
            conf = &stack->confs[i];
    int by = conf ? find_starter() : STARTERS;
    if (by == STARTERS)
        return;
    const char *library = conf->mpi_library, *count = getenv(starters[by].size);
    if (library && access(library, F_OK) != 0 && !is_in_library_path(strrchr(library, '/') + 1))
        warn("this node has not the MPI of %s, %s: the %.9s processes that %s has started will not "
             "work together",
             conf->name, library, count, starters[by].name);
    else if (!understands(conf->mpi, by))
        warn("%s has %s, which does not understand %s: what uses MPI runs %.9s times as rank 0 of "
             "1; start it with %s",
             conf->name, conf->mpi <= MPI_PMIX ? "Open MPI" : "an MPI of MPICH's kind",
             by == BY_SLURM ? "this way of srun" : starters[by].name, count,
             conf->mpi <= MPI_PMIX ? "the mpirun of Open MPI, or srun --mpi=pmix"
                                   : "the mpiexec that belongs to it, or srun --mpi=pmi2");
}
