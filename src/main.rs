//! Arguments to the command line, its answer to an exit code. Before that, one word to the allocator.
//!
//! The one file with `unsafe` in it: see `docs/decisions/0018-two-arenas.md`.
#![deny(unsafe_code)]

fn main() -> std::process::ExitCode {
    few_arenas();
    panicroom::cli::main()
}

/// glibc gives each thread an arena of its own, up to eight for each core, and lets what one thread freed for another
/// lie there. Blocks of a megabyte wander through five threads here: that came to 50 MB of nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt has no safe face; it is called before there is a second thread")]
fn few_arenas() {
    const ARENAS: libc::c_int = 2;
    // SAFETY: takes two numbers and touches only the allocator's own settings, under its lock. Its refusal changes
    // nothing and is no reason not to start.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn few_arenas() {}
