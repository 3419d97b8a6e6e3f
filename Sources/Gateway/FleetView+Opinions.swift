import Fleet
import NIOCore

/// Of lost nodes: who is asked to reach them, and what they found.
extension FleetView {
    /// How long an opinion stands until others are asked for one.
    private static let opinionLife = TimeAmount.seconds(60)
    private static let askedAtOnce = 2
    /// Where the gateway is cut off itself, all are lost at once: then few are asked about.
    private static let questionsAtOnce = 4

    /// Lost nodes about which others are to be asked now, and whom: those of the same site first.
    mutating func questions(now: NIODeadline) -> [(node: Node, asked: [NodeID])] {
        var questions: [(node: Node, asked: [NodeID])] = []
        // Of one that has not come to this gateway yet, nobody can say more than that.
        for entry in unreachable.compactMap({ entries[$0] }) where entry.wasHeard {
            if entry.node.addresses.isEmpty { continue }
            if let asked = entry.asked, now - asked.at < Self.opinionLife { continue }
            guard questions.count < Self.questionsAtOnce else { break }
            let asked = neighbours(of: entry.node).prefix(Self.askedAtOnce).map(\.id)
            guard !asked.isEmpty else { continue }
            ask(asked, about: entry.node.id, now: now)
            questions.append((entry.node, asked))
        }
        return questions
    }

    /// Those that can be asked, first those of its site.
    private func neighbours(of lost: Node) -> [Node] {
        let ready = entries.values.lazy.filter(\.isConnected).map(\.node)
            .filter { $0.state == .ready && $0.tenant == lost.tenant && $0.id != lost.id }
        guard let site = Self.site(of: lost) else { return Array(ready) }
        let near = ready.filter { Self.site(of: $0) == site }
        return Array(near) + ready.filter { Self.site(of: $0) != site }
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
