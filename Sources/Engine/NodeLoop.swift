package import NIOCore
import NIOPosix

/// The actor of a node's control logic; its executor is the daemon's one event loop.
///
/// Code on it and ChannelHandlers on that loop share state without hops or locks.
@globalActor package actor NodeLoop {
    package static let shared = NodeLoop()

    package nonisolated let loop: any EventLoop

    private init() { loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next() }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.executor.asUnownedSerialExecutor() }

    /// Runs `body` at once; for ChannelHandlers on the loop. Stops the program when it is called anywhere else.
    ///
    /// A handler that is not Sendable names what it uses in the capture list: `{ [connection] in … }`.
    package static func assumeIsolated<T: Sendable>(_ body: @NodeLoop () throws -> T) rethrows -> T {
        shared.loop.preconditionInEventLoop()
        return try withoutActuallyEscaping(body) { isolated in
            // The isolation that the type asks for was checked above; the two types differ in nothing else.
            try unsafeBitCast(isolated, to: (() throws -> T).self)()
        }
    }
}
