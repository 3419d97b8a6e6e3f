import ArgumentParser

struct GatewayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Runs lighter-gateway, the control plane, with these arguments.")

    @Argument(parsing: .captureForPassthrough, help: "As `lighter-gateway --help` says.")
    var arguments: [String] = []

    func run() throws {
        try Programs.become(Programs.sibling("lighter-gateway"), arguments)
    }
}
