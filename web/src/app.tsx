import { CSPProvider } from '@base-ui/react/csp-provider';
import { DirectionProvider } from '@base-ui/react/direction-provider';
import { Component, lazy, Suspense, useEffect, type ReactNode } from 'react';
import { account, begin } from './lib/account';
import { overlay } from './lib/overlay';
import { navigate, pageOf, place } from './lib/router';
import { useStore } from './lib/store';
import { onKey } from './lib/keyboard';
import { Heading, Link } from './parts/basics';
import { Crumb, Shell } from './parts/shell';
import Devices from './pages/devices';
import { SignIn } from './pages/sign-in';
import { loadDevicePage } from './lib/pages';
import u from './styles/ui.module.css';
import { t } from './text';

const Device = lazy(loadDevicePage);
const RouteReport = lazy(() => import('./pages/route-report'));
const Network = lazy(() => import('./pages/network'));
const PublicNetwork = lazy(() => import('./pages/network-public'));
const Audit = lazy(() => import('./pages/audit'));
const Settings = lazy(() => import('./pages/settings'));
const Overlays = lazy(() => import('./parts/overlays'));

function Pages() {
	const { path } = useStore(place);
	const { state } = useStore(account);
	const page = pageOf(path);
	useEffect(() => {
		if (state === 'out' && page.page !== 'sign-in' && page.page !== 'network') {
			const next = path === '/' || path === '/devices' ? '' : `?next=${encodeURIComponent(path)}`;
			navigate(`/sign-in${next}`, 'replace');
		} else if (state === 'in' && (page.page === 'sign-in' || path === '/')) navigate('/devices', 'replace');
	}, [state, page.page, path]);

	if (state === 'unknown') return page.page === 'sign-in' ? <Waiting text={t.signIn.linkBusy} /> : <Waiting text={t.loading} />;
	// no account is needed for it, and where the hub does not answer it says more than any other page
	if (state !== 'in' && page.page === 'network') return <PublicNetwork />;
	if (state === 'unreachable') return <Unreachable />;
	if (state === 'out') return page.page === 'sign-in' ? <SignIn /> : null;
	if (page.page === 'device') return <Device key={page.id} id={page.id} />;
	if (page.page === 'route') return <RouteReport key={page.id} id={page.id} />;
	const title = { devices: t.devices.title, network: t.network.title, audit: t.audit.title, settings: t.settings.title, 'sign-in': '', 'not-found': t.notFound.title }[page.page];
	return (
		<Shell crumb={<Crumb><b>{title}</b></Crumb>}>
			<Suspense
				fallback={
					<main id="page">
						<p className={u.wait}>{t.loading}</p>
					</main>
				}
			>
				{page.page === 'devices' && <Devices />}
				{page.page === 'network' && <Network />}
				{page.page === 'audit' && <Audit />}
				{page.page === 'settings' && <Settings />}
				{page.page === 'not-found' && <NotFound />}
			</Suspense>
		</Shell>
	);
}

function Waiting({ text }: { text: string }) {
	return (
		<main>
			<p className={u.wait} role="status">{text}</p>
		</main>
	);
}

function Unreachable() {
	return (
		<main className={u.page}>
			<div className={u.empty}>
				<Heading title={t.product}>{t.product}</Heading>
				<p>{t.problem.unreachable}</p>
				<button type="button" className={u.button} onClick={() => void begin(null)}>
					{t.retry}
				</button>
			</div>
		</main>
	);
}

function NotFound() {
	return (
		<main className={u.page} id="page">
			<div className={u.empty}>
				<Heading title={t.notFound.title}>{t.notFound.title}</Heading>
				<p>{t.notFound.text}</p>
				<Link className={u.button} to="/devices">
					{t.device.toDevices}
				</Link>
			</div>
		</main>
	);
}

function Over() {
	const which = useStore(overlay);
	const { state } = useStore(account);
	if (!which || state !== 'in') return null;
	return (
		<Suspense>
			<Overlays which={which} />
		</Suspense>
	);
}

/** A mistake in one page must not leave a blank window. */
class Guard extends Component<{ children: ReactNode }, { broken: boolean }> {
	override state = { broken: false };
	static getDerivedStateFromError() {
		return { broken: true };
	}
	override render() {
		if (!this.state.broken) return this.props.children;
		return (
			<main className={u.page}>
				<div className={u.empty}>
					<h1>{t.problem.crashTitle}</h1>
					<p>{t.problem.crashText}</p>
					<button type="button" className={u.button} onClick={() => location.reload()}>
						{t.problem.reload}
					</button>
				</div>
			</main>
		);
	}
}

export function App() {
	useEffect(() => {
		document.addEventListener('keydown', onKey);
		return () => document.removeEventListener('keydown', onKey);
	}, []);
	return (
		<CSPProvider disableStyleElements>
			<DirectionProvider direction={t.direction}>
				<Guard>
					<Suspense fallback={<Waiting text={t.loading} />}>
						<Pages />
					</Suspense>
					<Over />
				</Guard>
			</DirectionProvider>
		</CSPProvider>
	);
}
