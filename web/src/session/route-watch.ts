// Looks at the statistics of a running connection: once a second for the figures of the picture and the round trip. It
// says when the route is another one than before, so that the hub is told, and makes the full report of it.
import type { Candidate, Method, Route } from '../lib/api';
import { t } from '../text';
import { milliseconds } from '../text/format';
import { measure, originsOf, pairsTried, RoundTrip, type Measured } from './route';
import type { RouteLog } from './route-log';

export interface Figures {
	width: number;
	height: number;
	/** frames shown in the last second */
	fps: number;
	/** bits a second */
	rate: number;
}

const EVERY_MS = 1_000;
const HIDDEN_EVERY_MS = 10_000;
const REFINED_MS = 6_000;
const SERVERS_MS = 2_000;
type Report = Record<string, unknown>[];

interface Follow {
	/** @param report the hub is to know: another pair, or better figures of the same */
	route: (route: Route, report: boolean) => void;
	figures: (figures: Figures | null) => void;
}

export function rttText(rtt: number | null): string {
	if (rtt === null) return '';
	return rtt < 0.05 ? t.route.underOne : milliseconds(rtt);
}

export function sentence(method: Method, rtt: number | null): string {
	const text = rtt === null ? '' : t.route.andRtt(rttText(rtt));
	return { local: t.route.sayLocal, punched: t.route.sayPunched, relayed: t.route.sayRelayed }[method](text);
}

export class RouteWatch {
	private timer: ReturnType<typeof setTimeout> | undefined;
	private trip = new RoundTrip();
	private pair = '';
	private reported = 0;
	private refined = false;
	private heard = '';
	private setup = 0;
	private running = false;
	private before: { at: number; frames: number; bytes: number } | null = null;
	/** the last one that was made, for the moment in which there is no time to make another */
	latest: Route | null = null;

	constructor(
		private readonly pc: RTCPeerConnection,
		private readonly begun: number,
		private readonly log: RouteLog,
		private readonly deviceHosts: () => readonly string[],
		private readonly follow: Follow,
	) {}

	start(): void {
		this.setup ||= Math.round(performance.now() - this.begun);
		if (this.running) return;
		this.running = true;
		document.addEventListener('visibilitychange', this.soon);
		void this.look();
	}

	stop(): void {
		this.running = false;
		clearTimeout(this.timer);
		document.removeEventListener('visibilitychange', this.soon);
	}

	/** The hub may have missed the last one. */
	reportAgain(): void {
		this.pair = '';
		this.soon();
	}

	/** The report of a session for which no route was found, or whose last one broke. */
	async none(reason: string): Promise<Route> {
		let report: Report = [];
		try {
			report = await this.stats();
		} catch {
			// the connection is gone, and its statistics with it: what was noted is still told
		}
		const tried = pairsTried(report);
		return {
			method: 'none', transport: 'udp', rtt_ms: null, setup_ms: null, reason, pair: null, tried,
			...this.more(report, tried, null),
		};
	}

	private async stats(): Promise<Report> {
		return [...(await this.pc.getStats()).values()] as Report;
	}

	private more(report: Report, tried: Route['tried'], pair: { local: Candidate; remote: Candidate } | null) {
		return {
			candidates: this.log.candidates(tried, pair, originsOf(report)),
			servers: this.log.servers(),
			nat: this.log.nat(),
			ignored: this.log.ignored,
		};
	}

	private soon = (): void => {
		if (!this.running) return;
		clearTimeout(this.timer);
		void this.look();
	};

	private async look(): Promise<void> {
		let report: Report = [];
		try {
			report = await this.stats();
		} catch {
			// closed meanwhile
		}
		if (!this.running) return;
		const now = performance.now();
		this.picture(report, now);
		const measured = measure(report, this.deviceHosts());
		if (measured) this.route(measured, report, now);
		clearTimeout(this.timer);
		if (this.running) this.timer = setTimeout(() => void this.look(), document.visibilityState === 'hidden' ? HIDDEN_EVERY_MS : EVERY_MS);
	}

	private route(measured: Measured, stats: Report, now: number): void {
		const changed = measured.pairId !== this.pair;
		if (changed) this.trip.reset();
		this.pair = measured.pairId;
		const rtt = this.trip.add(measured, now);
		const better = !this.refined && now - this.reported > REFINED_MS;
		if (changed) this.refined = false;
		else if (better) this.refined = true;
		const pair = { local: measured.local, remote: measured.remote };
		const more = this.more(stats, measured.tried, pair);
		// a server may be given up long after the route was found: that is often the reason for it
		const heard = more.servers.map((server) => server.state).join();
		const told = heard !== this.heard && now - this.reported > SERVERS_MS;
		const report = changed || better || told;
		if (report) {
			this.reported = now;
			this.heard = heard;
		}
		this.latest = {
			method: measured.method,
			transport: measured.transport,
			rtt_ms: rtt === null ? null : Math.round(rtt * 100) / 100,
			setup_ms: this.setup,
			reason: sentence(measured.method, rtt),
			pair,
			tried: measured.tried,
			...more,
		};
		this.follow.route(this.latest, report);
	}

	private picture(report: Report, now: number): void {
		const video = report.find((s) => s.type === 'inbound-rtp' && s.kind === 'video');
		if (!video) return;
		const frames = Number(video.framesDecoded ?? 0);
		const bytes = Number(video.bytesReceived ?? 0);
		const { before } = this;
		this.before = { at: now, frames, bytes };
		const width = Number(video.frameWidth ?? 0);
		if (!before || width === 0) return;
		const seconds = Math.max(0.2, (now - before.at) / 1000);
		this.follow.figures({
			width,
			height: Number(video.frameHeight ?? 0),
			fps: Math.round((frames - before.frames) / seconds),
			rate: ((bytes - before.bytes) * 8) / seconds,
		});
	}
}
