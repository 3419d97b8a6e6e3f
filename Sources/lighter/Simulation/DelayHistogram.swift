import Glibc

/// Delays in buckets of about 5 % each: the same few kilobytes for any number of them.
struct DelayHistogram: Sendable {
    private static let ratio = 1.05
    /// From 10 us; the last one is hours.
    private static let least = 1e-5
    private var counts = [Int](repeating: 0, count: 440)
    private(set) var total = 0

    mutating func add(seconds: Double) {
        let steps = Glibc.log(max(seconds, Self.least) / Self.least) / Glibc.log(Self.ratio)
        counts[min(counts.count - 1, max(0, Int(steps)))] += 1
        total += 1
    }

    /// The delay in seconds that this part of them does not exceed; 0 where there is none.
    func quantile(_ part: Double) -> Double {
        var left = Int((Double(total) * part).rounded(.up))
        guard left > 0 else { return 0 }
        for (index, count) in counts.enumerated() {
            left -= count
            if left <= 0 { return Self.least * Glibc.pow(Self.ratio, Double(index) + 1) }
        }
        return 0
    }
}
