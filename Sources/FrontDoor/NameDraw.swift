/// Names for containers whose user gave none, in the shape that engines draw them: `adjective_noun`.
enum NameDraw {
    private static let first = [
        "able", "agile", "amber", "ample", "apt", "bold", "brave", "bright", "brisk", "calm", "candid", "clever",
        "cosy",
        "crisp", "deft", "eager", "early", "fair", "fleet", "fresh", "gentle", "glad", "handy", "hardy", "keen", "kind",
        "light", "lively", "lucid", "merry", "mild", "neat", "nimble", "noble", "patient", "plucky", "proud", "quick",
        "quiet", "ready", "sane", "sharp", "smart", "snug", "sound", "steady", "sunny", "swift", "tidy", "true", "warm",
        "wise", "witty", "zesty",
    ]
    private static let second = [
        "anchor", "barge", "barque", "beacon", "berth", "bollard", "bosun", "bow", "buoy", "canal", "cargo", "clipper",
        "coaster", "cove", "crane", "cutter", "davit", "deck", "dinghy", "dock", "fathom", "ferry", "fjord", "galley",
        "gangway", "harbour", "hawser", "helm", "hold", "hull", "jetty", "keel", "ketch", "ledger", "lighter", "lock",
        "mast", "mole", "mooring", "pier", "pilot", "port", "punt", "quay", "rigger", "rudder", "sail", "schooner",
        "skiff", "sloop", "stern", "tide", "tiller", "towline", "trawler", "tug", "wharf", "winch", "yawl",
    ]

    static func draw() -> String {
        let number = Int.random(in: 0..<1000)
        return "\(first.randomElement() ?? "plain")_\(second.randomElement() ?? "barge")\(number)"
    }
}
