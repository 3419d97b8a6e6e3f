/// What another node found where a lost one was, when the gateway asked it: whether the node is gone, or only its way here.
package struct SecondOpinion: Sendable, Hashable, Codable {
    package enum Finding: String, Sendable, Hashable, Comparable, Codable, CaseIterable {
        /// Its port takes connections.
        case answers
        /// Its machine says that nothing listens there.
        case refuses
        /// No word from there.
        case silent

        private var rank: Int {
            switch self {
            case .silent: 0
            case .refuses: 1
            case .answers: 2
            }
        }

        /// The more was found, the greater.
        package static func < (one: Finding, other: Finding) -> Bool { one.rank < other.rank }
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
    package func orBetter(_ other: SecondOpinion) -> SecondOpinion { other.finding > finding ? other : self }
}
