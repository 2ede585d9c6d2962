/*
 * Copyright (C) 2024 Example Inc.
 *
 * Licensed under the Apache License, Version 2.0.
 */
package com.example.shop;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What is in stock.
 *
 * <p>Safe for use by several threads.
 */
@Deprecated
public final class Inventory<K extends Comparable<K>> implements AutoCloseable {
  private static final int LIMIT = 1000;

  private final Map<K, Integer> stock = new HashMap<>();

  static {
    System.setProperty("inventory", "ready");
  }

  /** Creates an empty inventory. */
  public Inventory() {
    this(LIMIT);
  }

  @SuppressWarnings({"unused", "unchecked"})
  private Inventory(int limit) {
    assert limit > 0;
  }

  /**
   * Takes items out.
   *
   * @param key what to take
   * @return how many are left
   */
  @Override
  public synchronized int take(K key, int count) throws OutOfStockException {
    int left = stock.getOrDefault(key, 0) - count;
    if (left < 0) {
      throw new OutOfStockException(key.toString());
    }
    stock.put(key, left);
    return left;
  }

  private volatile Supplier<String> label =
      new Supplier<>() {
        @Override
        public String get() {
          return "inventory";
        }
      };

  @Override public void close() {}

  /** Thrown when there is too little. */
  public static class OutOfStockException extends Exception {
    OutOfStockException(String what) {
      super(what);
    }
  }

  interface Listener {
    void changed(Object key);

    default void closed() {
      changed(null);
    }
  }

  enum Unit {
    PIECE("pc"),
    KILOGRAM("kg") {
      @Override
      boolean divisible() {
        return true;
      }
    };

    final String sign;

    Unit(String sign) {
      this.sign = sign;
    }

    boolean divisible() {
      return false;
    }
  }

  record Line(String sku, int count) {
    Line {
      if (count < 0) throw new IllegalArgumentException();
    }

    int twice() {
      return 2 * count;
    }
  }

  @interface Audited {
    String by() default "nobody";
  }
}
