/// Paths as Compose joins them: by their words alone, links not followed.
enum FilePath {
    /// `path`, seen from `folder`, from the root and without `.` and `..`.
    static func absolute(_ path: String, from folder: String) -> String {
        var parts: [Substring] = []
        for part in (path.hasPrefix("/") ? path : folder + "/" + path).split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    static func parent(of path: String) -> String {
        absolute("..", from: path)
    }
}
