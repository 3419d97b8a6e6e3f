#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How fast one core runs, from a small calculation that fits in its registers.
///
/// The figure compares cores well enough to tell a device's from a server's; it says nothing of memory or vector units.
package enum CoreSpeed {
    /// Steps per second of the reference core, 1.0: about a server core of 2020 at 3 GHz, running this loop optimised.
    static let referenceStepsPerSecond = 300e6

    private static let steps = 800_000
    private static let rounds = 7

    /// Measures the calling thread's core: about 20 ms of its time, once; call it before a loop serves anyone.
    ///
    /// Counts the thread's own time, so neither other work nor a quota falsifies it; the median of several rounds leaves out the
    /// clock's climb and interrupts. A build without optimisation answers 1, as it would measure the compiler.
    package static func measured() -> Double {
        #if DEBUG
            return 1
        #else
            var speeds: [Double] = []
            var state: UInt64 = 0x9e37_79b9_7f4a_7c15
            for _ in 0..<rounds {
                let start = threadSeconds()
                state = run(steps, from: state)
                let seconds = threadSeconds() - start
                if seconds > 0 { speeds.append(Double(steps) / seconds / referenceStepsPerSecond) }
            }
            // An impossible state, so that the calculation cannot be left out.
            guard state != 0, !speeds.isEmpty else { return 1 }
            return min(100, max(0.01, speeds.sorted()[speeds.count / 2]))
        #endif
    }

    /// Each step needs the one before it, so the time is that of one core's arithmetic and nothing overlaps.
    @inline(never)
    static func run(_ steps: Int, from seed: UInt64) -> UInt64 {
        var word = seed | 1
        for _ in 0..<steps {
            word ^= word >> 12
            word ^= word << 25
            word ^= word >> 27
            word &*= 0x2545_f491_4f6c_dd1d
            word |= 1
        }
        return word
    }

    private static func threadSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
