internal import DockerAPI
internal import NIOCore

/// What an engine says of itself in the head of every answer, so that answers made here look the same.
struct Greeting: Sendable {
    /// Headers of the engine's own `GET /_ping`; nil until it has answered one.
    private var learned: [(String, String)]?

    /// Whether an engine has been heard.
    var isKnown: Bool { learned != nil }
    private(set) var apiVersion = APIVersion.fallback
    /// Whether the engine knows the exit code of a container no more once it is removed, as Podman does.
    var forgetsExitCodes: Bool { isPodman }
    /// Whether the engine answers for its events with the first of them only.
    var answersEventsLate: Bool { isPodman }
    private var isPodman: Bool { learned?.contains { $0.0.lowercased() == "libpod-api-version" } ?? false }

    /// Takes over what an engine's `GET /_ping` answered.
    mutating func learn(_ headers: HTTPHeaders) {
        let passedOver = ["content-length", "date", "connection"]
        learned = headers.fields.filter { !passedOver.contains($0.name.lowercased()) }.map { ($0.name, $0.value) }
        if let version = headers.first("Api-Version").flatMap(APIVersion.init) { apiVersion = version }
    }

    /// For a device without an engine: the version that every node it may use speaks.
    mutating func assume(_ version: APIVersion) {
        apiVersion = version
        learned = nil
    }

    func ping(_ method: String) -> Answer {
        var head = "HTTP/1.1 200 OK\r\n"
        let fields =
            learned ?? [
                ("Api-Version", "\(apiVersion)"), ("Builder-Version", "1"),
                ("Cache-Control", "no-cache, no-store, must-revalidate"),
                ("Content-Type", "text/plain; charset=utf-8"), ("Docker-Experimental", "false"), ("Ostype", "linux"),
                ("Pragma", "no-cache"), ("Server", "Lighter"),
            ]
        for (name, value) in fields { head += "\(name): \(value)\r\n" }
        head += method == "HEAD" ? "Content-Length: 0\r\n\r\n" : "Content-Length: 2\r\n\r\nOK"
        return Answer(ByteBuffer(string: head))
    }

    /// The head of a hijacked stream, as `attach` answers it.
    func upgraded(multiplexed: Bool) -> ByteBuffer {
        let kind = multiplexed ? "multiplexed" : "raw"
        return ByteBuffer(
            string: "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.\(kind)-stream\r\n"
                + "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    }

    /// The head of a chunked answer.
    func chunked(_ contentType: String = "application/json") -> ByteBuffer {
        ByteBuffer(
            string: "HTTP/1.1 200 OK\r\nApi-Version: \(apiVersion)\r\nContent-Type: \(contentType)\r\n"
                + "Docker-Experimental: false\r\nOstype: linux\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    /// A complete JSON answer.
    func json(_ status: Int, _ reason: String, _ body: JSON) -> ByteBuffer {
        let text = body.text + "\n"
        return ByteBuffer(
            string: "HTTP/1.1 \(status) \(reason)\r\nApi-Version: \(apiVersion)\r\nContent-Type: application/json\r\n"
                + "Docker-Experimental: false\r\nOstype: linux\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
    }
}
