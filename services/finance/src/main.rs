//! The program.

fn main() -> std::process::ExitCode {
    easycode_kit::main(&easycode_finance::SERVICE)
}
