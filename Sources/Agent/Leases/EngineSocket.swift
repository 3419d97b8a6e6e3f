import Glibc

/// An engine's socket, spoken to without an event loop: to kill containers, and no more.
enum EngineSocket {
    /// Asks for all at once and waits for the answers together.
    /// - Returns: those of which the engine says that they do not run any more.
    static func kill(_ containers: Set<String>, at path: String, within milliseconds: Int32) -> Set<String> {
        var asked: [(descriptor: Int32, id: String)] = []
        var stopped: Set<String> = []
        for id in containers {
            guard let descriptor = connect(to: path) else { continue }
            let request =
                "POST /containers/\(id)/kill HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n"
                + "Connection: close\r\n\r\n"
            write(descriptor, request, request.utf8.count)
            asked.append((descriptor, id))
        }
        defer { for (descriptor, _) in asked { close(descriptor) } }
        var left = milliseconds
        while !asked.isEmpty, left > 0 {
            var polled = asked.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            let begun = now()
            guard poll(&polled, nfds_t(polled.count), left) > 0 else { break }
            left -= Int32(clamping: now() - begun)
            for (index, polled) in polled.enumerated().reversed() where polled.revents != 0 {
                let (descriptor, id) = asked.remove(at: index)
                if isStopped(descriptor) { stopped.insert(id) }
                close(descriptor)
            }
        }
        return stopped
    }

    /// Killed now, not running, or not there.
    private static func isStopped(_ descriptor: Int32) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return false }
        let words = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ")
        return words.count > 1 && ["204", "404", "409"].contains(words[1])
    }

    private static func connect(to path: String) -> Int32? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard !path.isEmpty, path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_NONBLOCK | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard isConnected else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
