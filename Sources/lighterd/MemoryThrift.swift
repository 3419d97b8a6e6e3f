import CMalloc
import Glibc

/// Gives back what an idle daemon does not need: a device has little memory, and most of a daemon's is of its start.
enum MemoryThrift {
    /// After the start has settled, then now and then, for what a busy time has left.
    private static let pauses: (first: Duration, further: Duration) = (.seconds(3), .seconds(20))

    /// Until it is cancelled.
    static func keep() async {
        var pause = pauses.first
        while (try? await Task.sleep(for: pause)) != nil {
            malloc_trim(0)
            StartupPages.release()
            pause = pauses.further
        }
    }
}
