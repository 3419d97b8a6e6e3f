/// `os/architecture/variant`, in any of the spellings that Docker takes; empty parts match anything.
struct Platform: Sendable, Hashable {
    let text: String
    let system: String
    let architecture: String
    let variant: String

    init(_ text: String) {
        self.text = text
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        var (system, rest) = (parts.first ?? "", Array(parts.dropFirst()))
        if rest.isEmpty, !["", "linux", "windows", "darwin", "freebsd"].contains(system) {
            // One word that is no system is an architecture: `--platform arm64`.
            (system, rest) = ("", [system])
        }
        self.system = system
        (architecture, variant) = Self.normalised(rest.first ?? "", rest.count > 1 ? rest[1] : "")
    }

    /// Whether a node of this platform runs what is made for `wanted`.
    func runs(_ wanted: Platform) -> Bool {
        guard system.isEmpty || wanted.system.isEmpty || system == wanted.system else { return false }
        guard architecture.isEmpty || wanted.architecture.isEmpty || architecture == wanted.architecture else {
            return false
        }
        guard !variant.isEmpty, !wanted.variant.isEmpty, variant != wanted.variant else { return true }
        // A later variant of a processor runs what was made for an earlier one: `v7` runs `v6`.
        guard let has = Int(variant.dropFirst()), let wants = Int(wanted.variant.dropFirst()) else { return false }
        return has >= wants
    }

    private static func normalised(_ architecture: String, _ variant: String) -> (String, String) {
        switch (architecture, variant) {
        case ("x86_64", _), ("x86-64", _), ("amd64", "v1"): ("amd64", variant == "v1" ? "" : variant)
        case ("aarch64", _), ("arm64", _): ("arm64", variant == "v8" || variant == "8" ? "" : variant)
        case ("armhf", ""): ("arm", "v7")
        case ("armel", ""): ("arm", "v6")
        case ("i386", _), ("i686", _): ("386", variant)
        default: (architecture, variant)
        }
    }
}
