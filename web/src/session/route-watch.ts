// Looks at the statistics of a running connection: once a second for the figures of the picture and the round trip. It
// says when the route is another one than before, so that the hub is told.
import type { Route } from '../lib/api';
import { t } from '../text';
import { milliseconds } from '../text/format';
import { measure, RoundTrip, type Measured } from './route';

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

interface Follow {
	route: (route: Route, report: boolean) => void;
	figures: (figures: Figures | null) => void;
}

export function rttText(rtt: number | null): string {
	if (rtt === null) return '';
	return rtt < 0.05 ? t.route.underOne : milliseconds(rtt);
}

export function sentence(method: Route['method'], rtt: number | null): string {
	const text = rtt === null ? '' : t.route.andRtt(rttText(rtt));
	return { local: t.route.sayLocal, punched: t.route.sayPunched, relayed: t.route.sayRelayed }[method](text);
}

export class RouteWatch {
	private timer: ReturnType<typeof setTimeout> | undefined;
	private trip = new RoundTrip();
	private pair = '';
	private reported = 0;
	private refined = false;
	private setup = 0;
	private running = false;
	private before: { at: number; frames: number; bytes: number } | null = null;

	constructor(
		private readonly pc: RTCPeerConnection,
		private readonly begun: number,
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

	private soon = (): void => {
		if (!this.running) return;
		clearTimeout(this.timer);
		void this.look();
	};

	private async look(): Promise<void> {
		const report = [...(await this.pc.getStats()).values()] as Record<string, unknown>[];
		if (!this.running) return;
		const now = performance.now();
		this.picture(report, now);
		const measured = measure(report, this.deviceHosts());
		if (measured) this.route(measured, now);
		clearTimeout(this.timer);
		this.timer = setTimeout(() => void this.look(), document.visibilityState === 'hidden' ? HIDDEN_EVERY_MS : EVERY_MS);
	}

	private route(measured: Measured, now: number): void {
		const changed = measured.pairId !== this.pair;
		if (changed) this.trip.reset();
		this.pair = measured.pairId;
		const rtt = this.trip.add(measured, now);
		const better = !this.refined && now - this.reported > REFINED_MS;
		if (changed) this.refined = false;
		else if (better) this.refined = true;
		const report = changed || better;
		if (report) this.reported = now;
		this.follow.route(
			{
				method: measured.method,
				transport: measured.transport,
				rtt_ms: rtt === null ? null : Math.round(rtt * 100) / 100,
				setup_ms: this.setup,
				reason: sentence(measured.method, rtt),
				pair: { local: measured.local, remote: measured.remote },
				tried: measured.tried,
			},
			report,
		);
	}

	private picture(report: Record<string, unknown>[], now: number): void {
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
