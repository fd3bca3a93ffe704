/// A clock that goes on while the device sleeps, in the milliseconds that the machines count.
package enum Clock {
    private static let origin = ContinuousClock.now

    package static var nowMs: UInt64 {
        (ContinuousClock.now - origin).milliseconds
    }

    /// The instant of a time of the machines.
    package static func instant(_ ms: UInt64) -> ContinuousClock.Instant {
        origin + .milliseconds(ms)
    }
}

extension Clock {
    /// Sleeps, and up to its tolerance longer where the system wakes for something else soon after: a phone pays for each wake of its
    /// own. A task that is cancelled does not sleep on.
    static func nap(until instant: ContinuousClock.Instant) async {
        try? await Task.sleep(until: instant, tolerance: tolerance(of: instant - .now), clock: .continuous)
    }

    /// A tenth, and never more than ten seconds: an IDLE of 29 minutes must begin anew before the server's half an hour is over.
    static func tolerance(of nap: Duration) -> Duration {
        min(max(.zero, nap / 10), .seconds(10))
    }
}

/// Notices that the device slept between two looks.
struct SleepDetector {
    /// Longest time between two looks, so that sleep is noticed soon after.
    static let look = Duration.seconds(30)
    private static let slept = Duration.seconds(5)
    /// Stopped, and not only busy: as with SIGSTOP, or an app in the background.
    private static let stopped = Duration.seconds(60)

    private var lastWall = ContinuousClock.now
    private var lastAwake = SuspendingClock.now

    /// How long the device slept, or the program was stopped, since the last look; `nil`: it was not.
    mutating func happened(
        wall: ContinuousClock.Instant = .now, awake: SuspendingClock.Instant = .now
    ) -> Duration? {
        let (passed, passedAwake) = (wall - lastWall, awake - lastAwake)
        (lastWall, lastAwake) = (wall, awake)
        let isSlept = passed - passedAwake > Self.slept || passedAwake > Self.look + Self.stopped
        return isSlept ? max(passed - passedAwake, passedAwake - Self.look) : nil
    }
}

extension Duration {
    /// Whole milliseconds, at least none; a time that is longer than can be counted is for ever.
    package var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds < Int64.max / 1000 else { return UInt64(Int64.max) }
        return seconds < 0 ? 0 : UInt64(max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000))
    }
}
