import DockerAPI
import Engine

extension DockerClient {
    /// The engine's JSON, on a caller's behalf; nil when it knows no such thing.
    /// - Throws: `DockerFailure` when the engine cannot be asked.
    func ask(_ target: String, limit: Int = 4 << 20) async throws(DockerFailure) -> JSON? {
        do throws(EngineError) {
            let answer = try await request("GET", target, limit: limit, timeout: .seconds(30))
            if answer.status == 404 || answer.status == 400 { return nil }
            return try answer.checked().json()
        } catch {
            throw error.failureOfEngine
        }
    }

    /// Has the engine do something on a caller's behalf.
    /// - Throws: `DockerFailure` in the engine's words, or when it cannot be asked.
    func tell(_ target: String, _ body: JSON? = nil) async throws(DockerFailure) {
        do throws(EngineError) {
            try await request("POST", target, body: body?.buffer, timeout: .seconds(30)).checked()
        } catch {
            throw error.failureOfEngine
        }
    }
}

extension EngineError {
    /// As another node is told of it: 503 is for a node without room.
    var failureOfEngine: DockerFailure {
        var failure = failure
        if failure.status == 503 { failure.status = 502 }
        return failure
    }
}
