internal import DockerAPI
internal import Images
internal import NIOCore

/// What a classic build says of the image that it has made.
struct BuildLog {
    private static let limit = 64 << 10

    let isQuiet: Bool
    private(set) var hasFailed = false
    private var line = ByteBuffer()
    private(set) var image: LayerDigest?
    /// Whether the last whole line tells of the image, as the last ones of a build do.
    private(set) var tellsOfImage = false

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    mutating func take(_ chunk: ByteBuffer) {
        line.writeImmutableBuffer(chunk)
        while let end = line.readableBytesView.firstIndex(of: 0x0a) {
            let bytes = line.readBytes(length: end - line.readerIndex + 1) ?? []
            guard let json = try? JSON.parse(bytes) else { continue }
            // Quiet builds say nothing but the id; in others, such a line may be what a command of the build wrote.
            let quiet = isQuiet ? json["stream"]?.stringValue?.split(separator: "\n").first.map(String.init) : nil
            let said = (json["aux"]?["ID"]?.stringValue ?? quiet).flatMap { LayerDigest($0) }
            if let said { image = said }
            tellsOfImage = said != nil || json["stream"]?.stringValue?.hasPrefix("Successfully built ") ?? false
            if json["errorDetail"] != nil || json["error"] != nil { hasFailed = true }
        }
        line.discardReadBytes()
        // No line that matters is so long.
        if line.readableBytes > Self.limit { line.clear() }
    }
}
