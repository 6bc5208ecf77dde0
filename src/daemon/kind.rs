//! Last in the queue: what the systemd unit asks for (`Nice`, `IOSchedulingClass`) is asked here too, for a daemon or a
//! pass started by hand; and no more processors than `[kind] cpu` says.
//!
//! It is the kernel that keeps the bound: threads are allowed on so many processors and no others, whatever they do, and
//! whoever asks how many there are (the sealing threads) is told so many. To be called before any thread is started: what
//! is asked for is inherited. A kernel or sandbox that refuses is said in the log and is no hindrance.

use crate::config::Cpu;
use crate::kernel;
use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// As in the unit.
const NICE: i32 = 10;

/// Steps back for everybody else.
pub fn step_back(cpu: Cpu) {
    // Never forward: the operator may have asked for more.
    if getpriority_process(None).is_ok_and(|nice| nice < NICE)
        && let Err(e) = setpriority_process(None, NICE)
    {
        tracing::info!("run with a lower priority: {e}");
    }
    if !kernel::idle_io() {
        tracing::info!("use the disks only when nobody else does: this system has no idle class");
    }
    if cpu != Cpu::All
        && let Err(e) = keep_to(cpu)
    {
        tracing::warn!("keep to fewer processors, as [kind] cpu asks: {e}; set CPUQuota= in the unit instead");
    }
}

/// The last of those allowed so far: the first one is where most machines handle their interrupts.
fn keep_to(cpu: Cpu) -> rustix::io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let there: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|n| allowed.is_set(*n)).collect();
    let mut mine = CpuSet::new();
    for n in there.iter().rev().take(cpu.of(there.len())) {
        mine.set(*n);
    }
    sched_setaffinity(None, &mine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_started_from_here_keep_to_the_bound() {
        // On a thread of its own: what is asked for stays with it.
        let test = || {
            let before = sched_getaffinity(None).unwrap().count();
            step_back(Cpu::Processors(1));
            let inherited = std::thread::spawn(|| {
                let cpus = std::thread::available_parallelism().unwrap().get();
                (sched_getaffinity(None).unwrap().count(), cpus, getpriority_process(None).unwrap())
            });
            let (allowed, told, nice) = inherited.join().unwrap();
            assert!((allowed, told) == (1, 1) && nice >= NICE, "{allowed} {told} {nice} of {before}");
        };
        std::thread::spawn(test).join().unwrap();
    }
}
