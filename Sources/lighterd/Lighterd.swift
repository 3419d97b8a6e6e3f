import Agent
import Glibc
import Logging

/// The node daemon: agent and front door in one process, on one event loop.
@main
struct Lighterd {
    static let version = "0.1.0"

    static func main() async {
        // The fence is this program, too, and has to be as small as it can.
        let words = CommandLine.arguments
        if words.count == 3, words[1] == "fence" { exit(Fence.main(words[2], forgetting: StartupPages.release)) }
        signal(SIGPIPE, SIG_IGN)
        let signals = TerminationSignals()
        do {
            let options: DaemonOptions
            switch try DaemonOptions.read(Array(CommandLine.arguments.dropFirst())) {
            case .help: return print(DaemonOptions.help)
            case .version: return print("lighterd \(version)")
            case .run(let read): options = read
            }
            LoggingSystem.bootstrap { label in
                var handler = StreamLogHandler.standardError(label: label)
                handler.logLevel = options.logLevel
                return handler
            }
            try await Daemon(options).run(until: signals)
        } catch {
            let text = Array("lighterd: \(error)\n".utf8)
            write(STDERR_FILENO, text, text.count)
            exit(error is OptionError ? 64 : 1)
        }
    }
}
