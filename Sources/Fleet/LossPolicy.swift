/// What becomes of a workload whose node is lost, and how its user says so.
package struct LossPolicy: Sendable, Hashable, Codable {
    package enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// It waits for its node.
        case hold
        /// A service: it is started elsewhere, as often as it takes.
        case restart
        /// A job: it is run again elsewhere from its beginning, a few times at most.
        case rerun
    }

    /// What becomes of it when the node that it was lost with is back.
    package enum Return: String, Sendable, Hashable, Codable, CaseIterable {
        /// It stays where it was begun again.
        case keepReplacement = "keep-replacement"
        /// It is moved back.
        case keepOriginal = "keep-original"
    }

    package var kind: Kind
    /// How often a job is begun, the first time included.
    package var attempts: Int
    package var returns: Return

    package init(kind: Kind = .hold, attempts: Int = Self.usualAttempts, returns: Return = .keepReplacement) {
        self.kind = kind
        self.attempts = attempts
        self.returns = returns
    }

    package static let usualAttempts = 3
    package static let label = "lighter.loss"
    package static let attemptsLabel = "lighter.attempts"
    package static let returnLabel = "lighter.return"

    /// What a container's labels say, and where they are silent its restart policy: what Docker would start again after a
    /// reboot is a service, what it would start again after a failure is a job.
    /// - Parameter returns: what holds where no label says so.
    /// - Throws: `FleetError.invalidPolicy` naming the label and what it takes.
    package init(
        labels: [String: String], restartPolicy: String, returns: Return = .keepReplacement
    ) throws(FleetError) {
        self.returns = returns
        switch restartPolicy {
        case "always", "unless-stopped": kind = .restart
        case "on-failure": kind = .rerun
        default: kind = .hold
        }
        attempts = Self.usualAttempts
        if let text = labels[Self.label] {
            guard let kind = Kind(rawValue: text) else {
                throw .invalidPolicy(
                    key: Self.label, value: text,
                    remedy: "use one of \(Kind.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            self.kind = kind
        }
        if let text = labels[Self.returnLabel] {
            guard let returns = Return(rawValue: text) else {
                throw .invalidPolicy(
                    key: Self.returnLabel, value: text,
                    remedy: "use one of \(Return.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            self.returns = returns
        }
        if let text = labels[Self.attemptsLabel] {
            guard let attempts = Int(text), (1...1000).contains(attempts) else {
                throw .invalidPolicy(key: Self.attemptsLabel, value: text, remedy: "use a number from 1 to 1000")
            }
            self.attempts = attempts
        }
    }

    /// Whether it may run at one node only at a time, which then has to stop it before another may start it.
    package var isExclusive: Bool { kind != .hold }
}
