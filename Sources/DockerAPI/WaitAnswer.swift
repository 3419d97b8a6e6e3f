package import NIOCore

/// What an engine answers to `POST /containers/ID/wait`.
package enum WaitAnswer {
    /// The answer with the exit code that is known otherwise: Podman has forgotten it once a container is removed, and says 0.
    /// - Parameter document: as the engine said it, with its line feed.
    package static func correct(_ document: ByteBuffer, exitCode: Int64?) -> ByteBuffer {
        guard let exitCode, exitCode != 0, var answer = try? JSON.parse(document), answer["StatusCode"]?.intValue == 0
        else { return document }
        answer["StatusCode"] = .int(exitCode)
        var corrected = answer.buffer
        corrected.writeString("\n")
        return corrected
    }
}
