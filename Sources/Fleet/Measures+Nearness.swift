extension Measures {
    /// How far measures are from others, by what a placement would do with them.
    package enum Nearness: Sendable, Hashable, Comparable {
        /// No placement would be another with these.
        case alike
        /// One in a hundred might be, if it stays so.
        case slight
        case apart
    }

    /// A bandwidth below this only says that nothing large was sent lately: no decision heeds it.
    package static let leastBandwidth = 32e3

    private static let alikeShare = 0.02
    private static let slightShare = 0.05
    /// What programs that are always there use now and then, of one core.
    private static let coreJitter = 0.1
    /// From this share on any threshold may be near.
    private static let busy = 0.5
    /// Nothing is decided by pressure so far.
    private static let alikePressure = 0.1
    /// Of delays: below this it is the processors' doing rather than the way's.
    private static let leastDelay = 0.002

    package func areNear(_ others: Measures) -> Bool { nearness(to: others) == .alike }

    /// - Parameters:
    ///   - told: older measures of the same node.
    ///   - cores: the node's; 0 where they are not known. The fewer, the more of them its own programs use.
    package func nearness(to told: Measures, cores: Double = 0) -> Nearness {
        guard runningContainers == told.runningContainers, Self.areAlike(diskFree, told.diskFree),
            Self.isAlike(coreSpeed, told.coreSpeed)
        else { return .apart }
        return max(
            Self.nearness(cpu, told.cpu, slight: cores > 0 ? Self.coreJitter / cores : Self.slightShare),
            Self.nearness(memory, told.memory, slight: Self.slightShare),
            Self.nearness(pressure: cpuPressure, told.cpuPressure),
            Self.nearness(pressure: memoryPressure, told.memoryPressure),
            Self.nearness(pressure: ioPressure, told.ioPressure),
            Self.nearness(delay: gatewayRTT, told.gatewayRTT),
            Self.nearness(bandwidth: bandwidth, told.bandwidth))
    }

    private static func nearness(_ share: Double, _ told: Double, slight: Double) -> Nearness {
        let difference = abs(share - told)
        if difference < alikeShare { return .alike }
        return difference < min(slight, slightShare) && max(share, told) < busy ? .slight : .apart
    }

    private static func nearness(pressure: Double?, _ told: Double?) -> Nearness {
        switch (pressure, told) {
        case (let pressure?, let told?): abs(pressure - told) < alikePressure ? .alike : .slight
        case (nil, nil): .alike
        default: .apart
        }
    }

    private static func nearness(delay: Double, _ told: Double) -> Nearness {
        // What was never measured is presumed to be much.
        guard (delay > 0) == (told > 0) else { return .apart }
        if abs(delay - told) < leastDelay || isAlike(delay, told) { return .alike }
        return abs(delay - told) < 0.5 * told ? .slight : .apart
    }

    /// A link that rests is believed in less and less, which is no news; one that carries more is.
    private static func nearness(bandwidth: Double, _ told: Double) -> Nearness {
        if max(bandwidth, told) < leastBandwidth { return .alike }
        if bandwidth < told { return bandwidth > 0.5 * told ? .alike : .slight }
        return isAlike(bandwidth, told) ? .alike : .apart
    }

    private static func areAlike(_ own: ByteCount, _ other: ByteCount) -> Bool {
        isAlike(Double(own.bytes), Double(other.bytes))
    }

    private static func isAlike(_ own: Double, _ other: Double) -> Bool {
        abs(own - other) <= 0.1 * max(abs(own), abs(other))
    }
}
