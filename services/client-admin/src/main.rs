//! The program.

fn main() -> std::process::ExitCode {
    easycode_client_admin::main()
}
