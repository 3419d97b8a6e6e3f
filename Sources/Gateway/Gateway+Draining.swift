import Fleet
import FoundationEssentials
import Ledger
import Logging
import NIOCore
import Wire

extension Gateway {
    private static let drainedSetting = "drained-nodes"
    private static let lossesSetting = "lost-nodes"
    /// Rows that a device may say of one node.
    private static let rowLimit = 10_000

    /// What gateways before this one have said of nodes.
    /// - Throws: what the ledger throws when it cannot be read.
    static func restore(_ view: inout FleetView, from ledger: any Ledger) async throws {
        for words in try await lines(of: drainedSetting, in: ledger) {
            guard words.count >= 2, let node = try? NodeID(words[0]), let since = Double(words[1]) else { continue }
            view.drain(node, since: since, withState: words.dropFirst(2).first == "state")
        }
        for words in try await lines(of: lossesSetting, in: ledger) {
            guard words.count == 3, let node = try? NodeID(words[0]), let counted = Double(words[1]),
                let countedAt = Double(words[2])
            else { continue }
            view.restore(RecentLosses(counted: counted, at: countedAt), of: node)
        }
    }

    private static func lines(of setting: String, in ledger: any Ledger) async throws -> [[String]] {
        (try await ledger.setting(setting) ?? "").split(separator: "\n")
            .map { $0.split(separator: " ").map(String.init) }
    }

    /// Answers an operator who drains a node, ends that, or looks how far it is.
    func drain(_ request: Lighter_V1_DrainRequest, scope: TenantID?) async throws -> Reply {
        guard let id = try? NodeID(request.node), let node = registry[id], scope == nil || node.tenant == scope else {
            throw GatewayError(
                .notFound, "the fleet has no node '\(request.node)'; `lighter nodes` lists those that it has")
        }
        switch request.action {
        case "drain" where node.drainedSince == nil || node.drainsWithState != request.withState:
            let since = node.drainedSince ?? Date().timeIntervalSince1970
            try await keep(node, drainedSince: since, withState: request.withState)
            logger.notice("a node is drained", metadata: ["node": "\(id)", "state": "\(request.withState)"])
        case "resume" where node.drainedSince != nil:
            try await keep(node, drainedSince: nil, withState: false)
            logger.notice("a node takes work again", metadata: ["node": "\(id)"])
        case "drain", "resume", "look": break
        default: throw GatewayError(.invalid, "a node can be drained, resumed and looked at")
        }
        var reply = Lighter_V1_DrainReply()
        if let node = registry[id] { reply.node = Lighter_V1_NodeMessage(node) }
        let there = try await ledger.workloads(includingEnded: false).filter { $0.target == id && $0.origin != id }
        let rows = there.sorted { ($0.origin, $0.createdAt) < ($1.origin, $1.createdAt) }
            .map { registry.standing(of: $0) }
        let known = Set(rows.map(\.id))
        reply.rows = (rows + registry.moving(from: id).filter { !known.contains($0.id) }).map(Lighter_V1_DrainRow.init)
        return .drainReply(reply)
    }

    /// Says so, and returns when it is durable.
    private func keep(_ node: Node, drainedSince since: Double?, withState: Bool) async throws {
        registry.drain(node.id, since: since, withState: withState)
        do {
            var kept: String
            // Whoever writes last has written all.
            repeat {
                kept = registry.drainedText
                try await ledger.setSetting(Self.drainedSetting, kept)
            } while kept != registry.drainedText
        } catch {
            registry.drain(node.id, since: node.drainedSince, withState: node.drainsWithState)
            throw error
        }
        // Who is answered may ask a device for work there at once: that is told before.
        _ = registry.push(rankingEvery: TimeAmount(configuration.measureInterval))
    }

    /// Writes down which nodes were lost, where one has been since.
    func keepLosses() async {
        guard let text = registry.newLosses(now: Date().timeIntervalSince1970) else { return }
        do { try await ledger.setSetting(Self.lossesSetting, text) } catch {
            registry.keepLossesAgain()
            logger.warning("which nodes were lost was not kept", metadata: ["error": "\(error)"])
        }
    }

    /// Takes in what a device says of its workloads at a node of its tenant that is drained.
    func take(_ report: Lighter_V1_DrainReport, of session: AgentSession) {
        guard let node = try? NodeID(report.node), registry.isKnown(node, in: session.tenant) else { return }
        let rows = report.rows.prefix(Self.rowLimit).compactMap { try? $0.domain() }
        registry.note(rows, at: node, withState: report.withState, of: session.node)
    }
}
