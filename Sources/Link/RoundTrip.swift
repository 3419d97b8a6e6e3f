/// The smoothed round-trip time of a link, as RFC 6298 smooths it: an eighth of each new sample.
struct RoundTrip: Sendable {
    private(set) var smoothed: Duration?

    mutating func add(_ sample: Duration) {
        let sample = max(sample, .nanoseconds(1))
        guard let old = smoothed else {
            smoothed = sample
            return
        }
        smoothed = old + (sample - old) / 8
    }
}
