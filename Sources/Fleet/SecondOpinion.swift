/// What another node found where a lost one was, when the gateway asked it: whether the node is gone, or only its way here.
package struct SecondOpinion: Sendable, Hashable, Codable {
    package enum Finding: String, Sendable, Hashable, Codable, CaseIterable {
        /// Its port takes connections.
        case answers
        /// Its machine says that nothing listens there.
        case refuses
        /// No word from there.
        case silent
    }

    package var by: NodeID
    package var finding: Finding

    package init(by node: NodeID, _ finding: Finding) {
        by = node
        self.finding = finding
    }

    /// As a person reads it.
    package var text: String {
        switch finding {
        case .answers: "\(by) reaches it: its way to the gateway is cut"
        case .refuses: "\(by) reaches its machine, where no lighterd listens"
        case .silent: "\(by) does not reach it either"
        }
    }

    /// Of two, the one that has found more.
    package func orBetter(_ other: SecondOpinion) -> SecondOpinion {
        // From the most that can be found to the least.
        let order = Finding.allCases
        let (own, its) = (order.firstIndex(of: finding), order.firstIndex(of: other.finding))
        return its ?? order.endIndex < own ?? order.endIndex ? other : self
    }
}
