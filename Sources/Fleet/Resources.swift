/// What a workload asks for, or a node has.
package struct Resources: Sendable, Hashable, Codable {
    /// Cores; 0 where nothing is asked for.
    package var cpus: Double
    package var memory: ByteCount

    package init(cpus: Double = 0, memory: ByteCount = .zero) {
        self.cpus = cpus
        self.memory = memory
    }

    package static let none = Resources()
}
