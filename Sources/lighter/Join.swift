import ArgumentParser
import Fleet
import Foundation
import Session
import Trust

struct Join: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes this machine a node of a fleet and starts its daemon.")

    @Argument(help: "HOST:PORT of the gateway, or of several with commas.")
    var gateway: String

    @Option(help: "The one-time token that `lighter token` printed.")
    var token: String

    @Option(help: "This node's name (default: the host's, with four digits behind it that make it new).")
    var name: String?

    @Option(help: "Folder for the node's credentials and state.")
    var state: String?

    @Option(help: "HOST:PORT on which other nodes may reach this one directly.")
    var listen: String?

    @Option(help: "HOST:PORT that other nodes dial for that, where it differs from --listen.")
    var advertise: String?

    @Flag(inversion: .prefixedNo, help: "Start lighterd in the background afterwards.")
    var start = true

    func validate() throws {
        guard GatewayList(gateway) != nil else {
            throw ValidationError("write the gateway '\(gateway)' as HOST:PORT, several with commas between them")
        }
        for (option, value) in [("--listen", listen ?? ""), ("--advertise", advertise ?? "")]
        where !value.isEmpty && HostPort(value) == nil {
            throw ValidationError("\(option): write '\(value)' as HOST:PORT")
        }
        if let name, (try? NodeID(name)) == nil {
            throw ValidationError("--name \(name): use 1 to 63 of a-z, 0-9 and -")
        }
    }

    func run() async throws {
        let installation = Installation(state: state)
        let node = try await Enlisting(installation: installation, gateway: gateway).join(
            token: token, name: name ?? Self.drawnName, listen: listen, advertise: advertise)
        print("\(node) has joined the fleet; its settings are in \(installation.configurationFile)")
        guard start else { return }
        let daemon = try NodeDaemon(installation: installation)
        try await daemon.start([])
        try DockerContext(socket: installation.defaultSocket).use { print($0) }
    }

    /// Machines of one make have one name, and none may take another's place by mistake. Nil where the gateway has to draw one.
    private static var drawnName: String? {
        HostName.asNode.map { "\($0.prefix(58))-" + WorkloadID.random().hex.prefix(4) }
    }
}
