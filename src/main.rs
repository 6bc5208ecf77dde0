//! Arguments to the command line, its answer to an exit code; nothing else.

fn main() -> std::process::ExitCode {
    panicroom::cli::main()
}
