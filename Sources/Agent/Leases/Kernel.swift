import Glibc

/// System calls that the module of the C library leaves out.
enum Kernel {
    private typealias MakeTimer = @convention(c) (Int32, Int32) -> Int32
    private typealias SetTimer =
        @convention(c) (
            Int32, Int32, UnsafePointer<itimerspec>, UnsafeMutablePointer<itimerspec>?
        ) -> Int32
    private typealias SignalDescriptor = @convention(c) (Int32, UnsafePointer<sigset_t>, Int32) -> Int32

    private static let makeTimer: MakeTimer? = symbol("timerfd_create")
    private static let setTimer: SetTimer? = symbol("timerfd_settime")
    private static let signalDescriptor: SignalDescriptor? = symbol("signalfd")

    private static func symbol<T>(_ name: String) -> T? { dlsym(nil, name).map { unsafeBitCast($0, to: T.self) } }

    /// A timer that counts sleep, and fires at once when its time has passed in it.
    static func bootTimer() -> Int32 { makeTimer?(CLOCK_BOOTTIME, O_CLOEXEC | O_NONBLOCK) ?? -1 }

    /// - Parameter time: of `BootClock`; the greatest for never.
    static func set(_ timer: Int32, to time: UInt64) {
        var value = itimerspec()
        if time != .max {
            // Zero would mean never.
            let time = max(time, 1)
            value.it_value = timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        }
        let absolute: Int32 = 1
        _ = setTimer?(timer, absolute, &value, nil)
    }

    /// A descriptor that becomes readable when the process is told to end, which it is not any more by itself.
    static func terminations() -> Int32 {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        sigprocmask(SIG_BLOCK, &set, nil)
        return signalDescriptor?(-1, &set, O_CLOEXEC | O_NONBLOCK) ?? -1
    }

    static func isSignalled(_ descriptor: Int32) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 128)
        return read(descriptor, &bytes, bytes.count) > 0
    }

    /// What has been touched stays; what never is costs nothing.
    static func keepInMemory() {
        let onFault: Int32 = 4
        if mlockall(Int32(MCL_CURRENT) | Int32(MCL_FUTURE) | onFault) != 0 { return }
    }

    static func pause(nanoseconds: UInt64) {
        var time = timespec(tv_sec: 0, tv_nsec: Int(nanoseconds))
        nanosleep(&time, nil)
    }
}
