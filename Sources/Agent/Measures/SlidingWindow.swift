/// The mean of the last few samples, each weighed by the time that it stands for.
///
/// A mean over a window forgets a burst wholly once it is over, where an exponential mean drags it along.
struct SlidingWindow: Sendable {
    private var samples: [(value: Double, weight: Double)] = []
    private var next = 0
    private let size: Int

    /// - Parameter size: How many samples count; at least one.
    init(size: Int) { self.size = max(1, size) }

    /// Adds a sample; one that is not a number, or stands for no time, is passed over.
    mutating func add(_ value: Double, weight: Double = 1) {
        guard value.isFinite, weight.isFinite, weight > 0 else { return }
        if samples.count < size {
            samples.append((value, weight))
        } else {
            samples[next] = (value, weight)
            next = (next + 1) % size
        }
    }

    /// Zero while there is no sample. Summed anew each time, so that rounding cannot pile up over weeks.
    var mean: Double {
        var sum = 0.0
        var weights = 0.0
        for sample in samples {
            sum += sample.value * sample.weight
            weights += sample.weight
        }
        return weights > 0 ? sum / weights : 0
    }
}
