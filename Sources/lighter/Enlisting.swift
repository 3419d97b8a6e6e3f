import Fleet
import Foundation
import Logging
import NIOPosix
import Session
import Trust

/// Makes a machine a node: credentials from the gateway, settings for its daemon.
struct Enlisting {
    let installation: Installation
    /// `HOST:PORT`, of several with commas.
    let gateway: String

    /// Joins with a token and writes the daemon's configuration file.
    ///
    /// - Returns: the name that the node got.
    func join(token: String, name: String?, listen: String?, advertise: String?) async throws -> NodeID {
        if Credentials.exist(in: installation.nodeCredentials) {
            let fleet = (try? Credentials.load(from: installation.nodeCredentials).fleet) ?? "a fleet"
            throw CommandFailure(
                "this node belongs to \(fleet) already: remove \(installation.nodeCredentials) first, or use --state")
        }
        do {
            let token = try JoinToken(token)
            try Installation.makeFolder(installation.state)
            guard let gateways = GatewayList(gateway) else {
                throw CommandFailure("write the gateway '\(gateway)' as HOST:PORT, several with commas between them")
            }
            let credentials = try await gateways.ask { address in
                try await Enrolment.join(
                    gateway: address, token: token, node: name, directory: installation.nodeCredentials,
                    on: MultiThreadedEventLoopGroup.singleton.next(), logger: .silent)
            }
            guard let node = credentials.node else {
                throw CommandFailure("the gateway gave credentials that are not a node's: is it of another release?")
            }
            try configure(listen: listen, advertise: advertise)
            return node
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(error)
        }
    }

    /// Writes into `lighterd.conf` what lighterd cannot know by itself; what else the user wrote there is kept.
    func configure(listen: String?, advertise: String?) throws {
        let settings = [("gateway", gateway), ("listen", listen), ("advertise", advertise ?? listen)]
            .compactMap { key, value in value.map { (key: key, value: $0) } }
        let path = installation.configurationFile
        let old = (try? String(contentsOfFile: path, encoding: .utf8)) ?? Self.introduction
        let kept = old.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            !settings.contains { $0.key == line.prefix { $0 != "=" }.trimmed }
        }
        let lines = kept.joined(separator: "\n").trimmed.split(separator: "\n", omittingEmptySubsequences: false)
        let text = (lines.map(String.init) + settings.map { "\($0.key) = \($0.value)" }).map { $0 + "\n" }.joined()
        guard text != old else { return }
        do {
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw CommandFailure("cannot write \(path): \(error.localizedDescription)")
        }
    }

    private static let introduction = "# Settings of lighterd; docs/operations.md explains every key.\n"
}
