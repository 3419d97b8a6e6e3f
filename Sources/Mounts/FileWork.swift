internal import CMalloc
internal import NIOPosix

/// Where blocking file work is done: a thread pool, never an event loop.
struct FileWork: Sendable {
    let pool: NIOThreadPool

    /// Gives memory that is not in use back to the system, which the allocator would keep.
    func trim() async { _ = try? await run { malloc_trim(0) } }

    /// Runs `body` on the pool, also in a task that is cancelled: what was begun with files is finished.
    func run<T: Sendable>(
        _ body: @escaping @Sendable () throws(MountError) -> T
    ) async throws(MountError) -> T {
        let result: Result<T, MountError> = await withCheckedContinuation { continuation in
            pool.submit { state in
                guard case .active = state else {
                    let error = MountError(.stopped, "the thread pool of the mount's files has been shut down")
                    return continuation.resume(returning: .failure(error))
                }
                do throws(MountError) {
                    continuation.resume(returning: .success(try body()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }
}
