import ArgumentParser

struct Down: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ends the gateway and the node of this machine; containers go on running.")

    @Option(help: "The folder that was given to `lighter up`.")
    var state: String?

    func run() async throws {
        try await Self.stop(Installation(state: state))
    }

    /// The node first, so that it can say goodbye to its gateway.
    static func stop(_ installation: Installation) async throws {
        for program in ["lighterd", "lighter-gateway"] {
            let process = installation.background(program)
            guard process.pid != nil else {
                print("\(program) does not run")
                continue
            }
            try await process.stop()
            print("\(program) has ended")
        }
    }
}
