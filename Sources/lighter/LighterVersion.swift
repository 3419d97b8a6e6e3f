/// The release that this program belongs to.
enum LighterVersion {
    static let text = "0.1.0"
}
