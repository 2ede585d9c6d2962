import React, { memo, useCallback, useState } from 'react';

import styles from './Panel.module.css';

interface PanelProps {
  title: string;
  open?: boolean;
  children: React.ReactNode;
  onToggle?(open: boolean): void;
}

/** A box that folds. */
export function Panel({ title, open: initial = false, children, onToggle }: PanelProps) {
  const [open, setOpen] = useState(initial);
  const toggle = useCallback(() => {
    setOpen((value) => !value);
    onToggle?.(!open);
  }, [open, onToggle]);

  return (
    <section className={styles.panel} aria-expanded={open}>
      <header onClick={toggle}>
        {title} {open ? '▾' : '▸'}
      </header>
      {open && <div>{children}</div>}
    </section>
  );
}

// Re-rendered only when its lines change.
export const Listing = memo(function Listing({ lines }: { lines: string[] }) {
  return (
    <ol>
      {lines.map((line, index) => (
        <li key={index}>{line}</li>
      ))}
    </ol>
  );
});

const Empty = () => <p>Nothing here.</p>;

export class Boundary extends React.Component<{ fallback: JSX.Element }, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  render() {
    if (this.state.failed) {
      return this.props.fallback;
    }
    return this.props.children;
  }
}

export default function App(): JSX.Element {
  return (
    <Boundary fallback={<Empty />}>
      <Panel title="Log">
        <Listing lines={['one', 'two']} />
      </Panel>
    </Boundary>
  );
}
