import ArgumentParser
import Fleet
import Foundation
import Session
import Trust

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Starts a gateway and a node on this machine, and a docker context that leads to them.",
        discussion: "May be repeated: what runs as it should is left alone. `lighter down` ends both.")

    @Option(help: "local, remote, threshold or completion.")
    var policy: String?

    @Option(help: "HOST:PORT of the gateway; 0.0.0.0:7700 lets other machines join.")
    var listen = "127.0.0.1:7700"

    @Option(help: "HOST:PORT that other machines dial for that, where it differs from --listen.")
    var advertise: String?

    @Option(help: "The engine behind the socket, or none.")
    var engine: String?

    @Option(help: "This node's name (default: the host's).")
    var name: String?

    @Option(help: "Folder for everything that is kept.")
    var state: String?

    @Flag(help: "End the gateway and the node instead.")
    var stop = false

    func validate() throws {
        for (option, value) in [("--listen", listen), ("--advertise", advertise ?? listen)]
        where HostPort(value) == nil {
            throw ValidationError("\(option): write '\(value)' as HOST:PORT")
        }
        if let policy, Policy.Kind(rawValue: policy) == nil {
            let kinds = Policy.Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--policy \(policy): one of \(kinds)")
        }
        if let name, (try? NodeID(name)) == nil {
            throw ValidationError("--name \(name): use 1 to 63 of a-z, 0-9 and -")
        }
    }

    func run() async throws {
        let installation = Installation(state: state)
        if stop { return try await Down.stop(installation) }
        try installation.prepare()
        let gateway = try LocalGateway(installation: installation, listen: listen, advertise: advertise)
        try await gateway.start(policy: policy)
        print("gateway: \(listen)")
        let enlisting = Enlisting(installation: installation, gateway: gateway.address)
        if Credentials.exist(in: installation.nodeCredentials) {
            try Self.checkFleet(installation)
            try enlisting.configure(listen: nil, advertise: nil)
        } else {
            _ = try await enlisting.join(
                token: try gateway.token(), name: name ?? HostName.asNode, listen: nil, advertise: nil)
        }
        var arguments: [String] = []
        if let engine { arguments += ["--engine", engine] }
        if let policy { arguments += ["--policy", policy] }
        try await NodeDaemon(installation: installation).start(arguments)
        try await warnWithoutEngine(installation, gateway)
        print("node:    \(installation.defaultSocket)")
        // Of a folder that it is not told of, no other command knows.
        let isFound = Installation.known.contains { $0.state == installation.state }
        let ending = isFound ? "lighter down" : "lighter down --state \(installation.state)"
        print("state:   \(installation.state) (logs in log/, `\(ending)` ends both)\n")
        try DockerContext(socket: installation.defaultSocket).use { print($0) }
        if !isFound {
            let credentials = installation.operatorCredentials
            print("Set:   export LIGHTER_GATEWAY=\(gateway.address) LIGHTER_CREDENTIALS=\(credentials)")
        }
        print("Then:  lighter ps, lighter explain NAME, lighter token (to let a second machine join)")
    }

    /// The node serves its socket before its engine has answered; the user's first command should not find that.
    private func warnWithoutEngine(_ installation: Installation, _ gateway: LocalGateway) async throws {
        do {
            guard engine != "none", let node = try Credentials.load(from: installation.nodeCredentials).node,
                try await !gateway.seesEngine(of: node)
            else { return }
        } catch {
            throw CommandFailure(error)
        }
        print(
            "warning: \(engine ?? "unix:///var/run/docker.sock") does not answer: start Docker, or name it by --engine")
    }

    /// A machine that has joined another's fleet is not taken out of it by a slip.
    private static func checkFleet(_ installation: Installation) throws {
        do {
            let node = try Credentials.load(from: installation.nodeCredentials)
            guard try node.caPEM != Credentials.load(from: installation.operatorCredentials).caPEM else { return }
            throw CommandFailure(
                "this machine is a node of fleet \(node.fleet), which another gateway runs: use another --state, or "
                    + "remove \(installation.nodeCredentials) first")
        } catch let error as TrustError {
            throw CommandFailure(error)
        }
    }
}
