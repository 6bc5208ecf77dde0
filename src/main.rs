//! Arguments to the command line, its answer to an exit code. Before that, one word to the allocator.
//!
//! The one file with `unsafe` in it: see `docs/decisions/0018-two-arenas.md`.
#![deny(unsafe_code)]

fn main() -> std::process::ExitCode {
    tame_the_allocator();
    panicroom::cli::main()
}

/// glibc gives each thread an arena of its own, up to eight for each core, lets what one thread freed for another lie
/// there, and after the first large block keeps those too. Blocks of a megabyte and more wander through eight threads
/// here: that came to 50 MB of nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt has no safe face; it is called before there is a second thread")]
fn tame_the_allocator() {
    const ARENAS: libc::c_int = 2;
    /// A block's megabyte is used again and again and stays; what is larger goes back to the system at once.
    const LARGE: libc::c_int = (1 << 20) + 4096;
    // SAFETY: takes two numbers and touches only the allocator's own settings, under its lock. Its refusal changes
    // nothing and is no reason not to start.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn tame_the_allocator() {}
