//! The rank as which a launcher of MPI started this process, if one did.

use std::env;

use super::Ranks;
use crate::error::{Error, Result};

/// Variables by which launchers tell a process its rank and the number of ranks: Open MPI's mpirun;
/// those of MPICH and its relatives, and Slurm's `srun --mpi=pmi2`; `srun --mpi=pmix`.
const LAUNCHERS: [[&str; 2]; 3] = [
    ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"],
    ["PMI_RANK", "PMI_SIZE"],
    ["PMIX_RANK", "SLURM_STEP_NUM_TASKS"],
];

/// Variables by which launchers tell a process how many ranks there are on its machine.
const ON_THIS_MACHINE: [&str; 2] = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"];

/// Number in the variable `name` of the environment.
fn number(name: &str) -> Option<usize> {
    env::var(name).ok()?.parse().ok()
}

/// Rank of this process and number of all ranks, if a launcher of MPI started it.
fn place() -> Option<(usize, usize)> {
    LAUNCHERS.into_iter().find_map(|[rank, count]| Some((number(rank)?, number(count)?)))
}

/// Number of ranks on this machine, which share its cores; 1 without a launcher.
pub fn on_this_machine() -> usize {
    ON_THIS_MACHINE.into_iter().find_map(number).unwrap_or(1)
}

/// This process as one of the ranks, if a launcher of MPI started several.
///
/// # Errors
/// [`Error::Usage`] on the first rank when the ranks cannot know of each other: when this program was built
/// without MPI, or its library of MPI is not that of the launcher. The other ranks get
/// [`Error::OfAnotherRank`].
pub fn ranks() -> Result<Option<Ranks>> {
    match place() {
        None | Some((_, ..=1)) => Ok(None),
        Some((0, count)) => connected(count).map(Some),
        Some((_, count)) => connected(count).map(Some).map_err(|_| Error::OfAnotherRank),
    }
}

/// This process as one of `count` ranks.
#[cfg(feature = "mpi")]
fn connected(count: usize) -> Result<Ranks> {
    let ranks = super::mpi::ranks()?;
    if ranks.count() != count {
        return Err(Error::Usage(format!(
            "the launcher started {count} ranks, and MPI knows of {}: start with the mpirun of the MPI \
             with which mnist-train was built",
            ranks.count(),
        )));
    }
    Ok(ranks)
}

/// This process as one of `count` ranks: there is no MPI by which they could know of each other.
#[cfg(not(feature = "mpi"))]
fn connected(count: usize) -> Result<Ranks> {
    Err(Error::Usage(format!(
        "started as {count} processes by a launcher of MPI, and this program was built without MPI: \
         build it with 'cargo build --release --features mpi', or start it alone"
    )))
}
