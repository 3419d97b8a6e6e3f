import Fleet
import NIOCore

/// Of lost nodes: who is asked to reach them, and what they found.
extension FleetView {
    /// How long an opinion stands until others are asked for one.
    private static let opinionLife = TimeAmount.seconds(60)
    private static let askedAtOnce = 2

    /// Lost nodes about which others are to be asked now, and whom: those of the same site first.
    mutating func questions(now: NIODeadline) -> [(node: Node, asked: [NodeID])] {
        var questions: [(node: Node, asked: [NodeID])] = []
        for entry in entries.values where entry.node.state == .unreachable && !entry.node.addresses.isEmpty {
            if let asked = entry.asked, now - asked.at < Self.opinionLife { continue }
            let asked = neighbours(of: entry.node).prefix(Self.askedAtOnce).map(\.id)
            guard !asked.isEmpty else { continue }
            ask(asked, about: entry.node.id, now: now)
            questions.append((entry.node, asked))
        }
        return questions
    }

    private func neighbours(of lost: Node) -> [Node] {
        let site = Self.site(of: lost)
        let ready = entries.values.lazy.filter(\.isConnected).map(\.node)
            .filter { $0.state == .ready && $0.tenant == lost.tenant && $0.id != lost.id }
        return ready.sorted { one, other in
            let (isOneNear, isOtherNear) = (Self.site(of: one) == site, Self.site(of: other) == site)
            return isOneNear == isOtherNear ? one.id < other.id : isOneNear
        }
    }

    private static func site(of node: Node) -> String? { node.tags.first { $0.hasPrefix("site=") } }

    /// Takes in what a node found that was asked; of those asked at once, the best counts. Returns whether that is news.
    mutating func note(_ opinion: SecondOpinion, of id: NodeID) -> Bool {
        guard let entry = entries[id], entry.node.state == .unreachable, let asked = entry.asked,
            asked.nodes.contains(opinion.by)
        else { return false }
        let former = asked.hasAnswer ? entry.node.opinion : nil
        return answer(former?.orBetter(opinion) ?? opinion, about: id)
    }
}
