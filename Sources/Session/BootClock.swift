import Glibc

/// The machine's time since its boot, sleep included: what leases are counted by.
package enum BootClock {
    /// Nanoseconds, the same for all programs of the machine.
    package static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
