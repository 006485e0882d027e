// The network page for whoever has no account: the same parts without the frame of the console.
import { Moon, Sun } from 'lucide-react';
import { isDark, prefs, toggleTheme } from '../lib/prefs';
import { useStore } from '../lib/store';
import { Link } from '../parts/basics';
import { Logo } from '../parts/icons';
import u from '../styles/ui.module.css';
import { t } from '../text';
import { tn } from '../text/network';
import Network from './network';
import s from './network.module.css';

export default function PublicNetwork() {
	useStore(prefs);
	const Theme = isDark() ? Sun : Moon;
	return (
		<div className={s.outside}>
			<a className={u.skip} href="#page">
				{t.skip}
			</a>
			<header className={s.top}>
				<span className={s.brand}>
					<Logo />
					{t.product}
				</span>
				<button type="button" className={u.icon} aria-label={t.nav.theme} title={t.nav.theme} onClick={toggleTheme}>
					<Theme size={17} strokeWidth={1.9} aria-hidden />
				</button>
				<Link className={u.button} to="/sign-in?next=%2Fnetwork">
					{tn.signIn}
				</Link>
			</header>
			<Network />
		</div>
	);
}
