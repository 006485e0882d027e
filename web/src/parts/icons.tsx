// The product's own drawings: the mark, and the route glyphs, which differ in shape and not only in colour.
import type { Route } from '../lib/api';

export function Logo() {
	return (
		<svg width="24" height="24" viewBox="0 0 24 24" fill="none" aria-hidden="true">
			<path d="M8.3 8.1a5.4 5.4 0 1 1-.2 7.6" stroke="currentColor" strokeWidth="2.4" strokeLinecap="round" />
			<path
				d="M1.5 15.6c4.4.6 6.3-3.4 10.6-3.6 4.2-.2 6-3.4 10.4-3.2"
				stroke="var(--accent)"
				strokeWidth="2.6"
				strokeLinecap="round"
			/>
		</svg>
	);
}

export function RouteGlyph({ method, size = 22 }: { method: Route['method']; size?: number }) {
	return (
		<svg
			width={size}
			height={(size * 14) / 22}
			viewBox="0 0 22 14"
			fill="none"
			stroke="currentColor"
			strokeWidth="1.8"
			strokeLinecap="round"
			aria-hidden="true"
		>
			{method === 'relayed' ? (
				<>
					<path d="M5 9.4 9.4 4.6M12.6 4.6 17 9.4" />
					<circle cx="3.8" cy="10.8" r="2.2" fill="currentColor" stroke="none" />
					<circle cx="18.2" cy="10.8" r="2.2" fill="currentColor" stroke="none" />
					<rect x="8.7" y="1" width="4.6" height="4.6" rx="1" fill="currentColor" stroke="none" />
				</>
			) : method === 'none' ? (
				<>
					<path d="M8.6 4.6 13.4 9.4M13.4 4.6 8.6 9.4" />
					<circle cx="3.2" cy="7" r="2.4" stroke="none" fill="currentColor" />
					<circle cx="18.8" cy="7" r="2.4" stroke="none" fill="currentColor" />
				</>
			) : (
				<>
					<path d="M6.4 7h9.2" />
					{method === 'punched' && <path d="M11 .9v3.2M11 9.9v3.2" />}
					<circle cx="4" cy="7" r="2.4" fill="currentColor" stroke="none" />
					<circle cx="18" cy="7" r="2.4" fill="currentColor" stroke="none" />
				</>
			)}
		</svg>
	);
}
